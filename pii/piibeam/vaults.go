package piibeam

import (
	"context"
	"fmt"
	"sync"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// vaults has the vaults of this process by name. A worker gets its transforms as data,
// which can't hold a vault, so they hold a vault's name.
var vaults = struct {
	sync.Mutex
	open   map[string]func(context.Context) (*vault.Vault, error)
	opened map[string]*vault.Vault
}{
	open:   make(map[string]func(context.Context) (*vault.Vault, error)),
	opened: make(map[string]*vault.Vault),
}

// Register registers a function that opens the vault of that name in this process.
// Call it from an init function of the pipeline's program, which every worker runs. It
// panics if the name is taken, and for a nil open.
func Register(name string, open func(context.Context) (*vault.Vault, error)) {
	vaults.Lock()
	defer vaults.Unlock()
	if open == nil || vaults.open[name] != nil {
		panic("piibeam: a vault of this name is registered already, or there is no function")
	}
	vaults.open[name] = open
}

// opened returns the vault of that name, and opens it the first time. It does not keep
// a failure.
func opened(ctx context.Context, name string) (*vault.Vault, error) {
	vaults.Lock()
	defer vaults.Unlock()
	if v := vaults.opened[name]; v != nil {
		return v, nil
	}
	open := vaults.open[name]
	if open == nil {
		return nil, fmt.Errorf("piibeam: no vault is registered under this job's name: %w", vault.ErrInvalid)
	}
	v, err := open(ctx)
	if err != nil {
		return nil, err
	}
	vaults.opened[name] = v //piivet:allow scopeplace a worker is handed data alone, and looks its vault up by the name in it
	return v, nil
}

// scopes opens the scopes of a job.
func (j Job) scopes(ctx context.Context) ([]*vault.Scope, error) {
	if len(j.Purposes) == 0 {
		return nil, fmt.Errorf("piibeam: job without a purpose: %w", vault.ErrInvalid)
	}
	v, err := opened(ctx, j.Vault)
	if err != nil {
		return nil, err
	}
	var scopes []*vault.Scope
	for _, name := range j.Purposes {
		p, err := purpose.Parse(name)
		if err != nil {
			return nil, err
		}
		s, err := v.Scope(ctx, p)
		if err != nil {
			return nil, err
		}
		scopes = append(scopes, s.Under(j.Basis))
	}
	return scopes, nil
}
