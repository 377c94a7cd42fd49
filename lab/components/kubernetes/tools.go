//go:build tools

// Package tools keeps the upstream end-to-end suite among the pinned requirements: it is a test binary, which a
// tool directive cannot name.
package tools

import _ "k8s.io/kubernetes/test/e2e"
