package kms

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

const (
	gcpDecrypter          = "roles/cloudkms.cryptoKeyDecrypter"
	gcpEncrypterDecrypter = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
)

// member matches no quote, blank or backslash, and no member that stands for
// everybody.
var member = onUse(`\A(?:` +
	`(?:serviceAccount|group|user):[a-zA-Z0-9][a-zA-Z0-9._+-]{0,63}@[a-z0-9][a-z0-9.-]{0,252}` +
	`|serviceAccount:[a-z0-9][a-z0-9.:-]{0,62}\.svc\.id\.goog\[[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}\]` +
	`|principal(?:Set)?://iam\.googleapis\.com/[a-zA-Z0-9/_.:@-]{1,512}` +
	`)\z`)

// GCPPolicy returns the IAM policy of the key of purpose p, as JSON. Roles that open
// p decrypt with the key, and roles that manage p encrypt as well. Other roles are
// passed over. Setting the policy revokes earlier grants on the key itself. Grants on
// its key ring, project and organisation stay in force.
//
//	gcloud kms keys set-iam-policy <key> policy.json --keyring <ring> --location <location> --project <project>
//
// A malformed role, member or key and two roles of one name are
// [vault.ErrInvalid]; a p without a key is [vault.ErrNoKeys].
func GCPPolicy(keys Keys, p purpose.Purpose, roles ...Role) (string, error) {
	if _, err := gcpGrants(keys, roles); err != nil {
		return "", err
	}
	if _, err := keys.Key(p); err != nil {
		return "", err
	}
	policy := gcpPolicy{Version: 1, Bindings: []gcpBinding{}}
	for _, role := range []string{gcpDecrypter, gcpEncrypterDecrypter} {
		b := gcpBinding{Role: role}
		for _, r := range roles {
			manages := r.Manages.Contains(p)
			if (manages || r.Opens.Contains(p)) && gcpRole(manages) == role {
				b.Members = append(b.Members, r.Member)
			}
		}
		if len(b.Members) > 0 {
			slices.Sort(b.Members)
			b.Members = slices.Compact(b.Members)
			policy.Bindings = append(policy.Bindings, b)
		}
	}
	return indent(policy, nil)
}

// GCPCommands returns commands, one a line, that grant to roles exactly their
// purposes, and do not change other grants. It returns the errors of [GCPPolicy].
func GCPCommands(keys Keys, roles ...Role) (string, error) {
	all, err := gcpGrants(keys, roles)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for i, r := range roles {
		fmt.Fprintf(&b, "# %s\n", r.Name)
		for _, g := range all[i] {
			part := strings.Split(g.key.name, "/") // projects, P, locations, L, keyRings, R, cryptoKeys, K
			fmt.Fprintf(&b, "gcloud kms keys add-iam-policy-binding '%s' --keyring '%s' --location '%s' --project '%s' --member '%s' --role '%s'\n",
				part[7], part[5], part[3], part[1], r.Member, gcpRole(g.manages))
		}
	}
	return b.String(), nil
}

func gcpRole(manages bool) string {
	if manages {
		return gcpEncrypterDecrypter
	}
	return gcpDecrypter
}

// gcpGrants returns the grants of each role.
func gcpGrants(keys Keys, roles []Role) ([][]grant, error) {
	if err := Check(keys, GCP); err != nil {
		return nil, err
	}
	names := make(map[string]bool, len(roles))
	all := make([][]grant, len(roles))
	for i, r := range roles {
		var err error
		if all[i], err = r.grants(keys, GCP); err != nil {
			return nil, err
		}
		if !member().MatchString(r.Member) {
			return nil, fmt.Errorf("kms: role %s has no well-formed member: %w", r.Name, vault.ErrInvalid)
		}
		if names[r.Name] {
			return nil, fmt.Errorf("kms: two roles named %s: %w", r.Name, vault.ErrInvalid)
		}
		names[r.Name] = true
	}
	return all, nil
}

type gcpPolicy struct {
	Version  int          `json:"version"`
	Bindings []gcpBinding `json:"bindings"`
}

type gcpBinding struct {
	Role    string   `json:"role"`
	Members []string `json:"members"`
}
