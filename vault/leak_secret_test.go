//go:build goexperiment.runtimesecret

package vault_test

import "runtime/secret"

func init() { inSecret = secret.Do }
