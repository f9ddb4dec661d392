//go:build tools

// Package tools pins the parts of Cilium that the embedded node runs as the
// enforcer of NetworkPolicy.
package tools

import (
	_ "github.com/cilium/cilium/cilium-dbg"
	_ "github.com/cilium/cilium/daemon"
	_ "github.com/cilium/cilium/operator"
	_ "github.com/cilium/cilium/plugins/cilium-cni"
)
