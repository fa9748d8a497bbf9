package tests

import (
	"context"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/pocketbase/pocketbase/core"
)

// security opens the keys that the test data is sealed with.
var security = sync.OnceValues(func() (*vault.Scope, error) { //piivet:allow scopeplace the service's tests share one directory of data
	_, file, _, _ := runtime.Caller(0)
	return core.OpenSecurity(context.Background(), filepath.Join(filepath.Dir(file), "data"))
})
