"""The process that ends what runs: own watch, own expiry clock, deletes and creates nothing."""
