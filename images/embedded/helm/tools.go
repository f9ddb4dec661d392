//go:build tools

// Package tools pins helm as an ordinary module requirement.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
