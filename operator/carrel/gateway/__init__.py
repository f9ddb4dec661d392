"""The one way in for browsers: login, portal, and a default-deny proxy to each workspace."""
