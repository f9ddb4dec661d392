//go:build tools

// Package tools pins etcd and its command as ordinary module requirements, so
// that go.sum names every byte that is compiled.
package tools

import (
	_ "go.etcd.io/etcd/etcdctl/v3"
	_ "go.etcd.io/etcd/server/v3"
)
