//go:build goexperiment.runtimesecret

package attacktest

import "runtime/secret"

func init() { inSecret = secret.Do }
