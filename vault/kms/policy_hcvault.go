package kms

import (
	"fmt"
	"strings"

	"github.com/onlyfor/onlyfor/vault"
)

// HCVaultPolicy returns the policy, in HCL, that lets a role use exactly its
// purposes in the transit engine of HashiCorp Vault or OpenBao. The keys have to
// exist: the policy does not allow a role to make one.
//
//	bao policy write ad-service ad-service.hcl
//
// The paths are those in the URIs of the keys, relative to the namespace of the
// policy. A malformed role or key and keys on more than one server are
// [vault.ErrInvalid]; a purpose without a key is [vault.ErrNoKeys].
func HCVaultPolicy(keys Keys, r Role) (string, error) {
	grants, err := r.grants(keys, HCVault)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", r.Name)
	for _, g := range grants {
		if g.key.location != grants[0].key.location {
			return "", fmt.Errorf("kms: keys of role %s are on more than one server: %w", r.Name, vault.ErrInvalid)
		}
		mount, name := g.key.name, ""
		if i := strings.LastIndex(g.key.name, "/keys/"); i >= 0 {
			mount, name = g.key.name[:i], g.key.name[i+len("/keys/"):]
		}
		actions := []string{"decrypt"}
		if g.manages {
			actions = append(actions, "encrypt")
		}
		for _, action := range actions {
			// Not "create": with it, encrypting makes a missing key.
			fmt.Fprintf(&b, "\npath \"%s/%s/%s\" {\n  capabilities = [\"update\"]\n}\n", mount, action, name)
		}
	}
	return b.String(), nil
}
