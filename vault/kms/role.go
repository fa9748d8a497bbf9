package kms

import (
	"encoding/hex"
	"fmt"
	"iter"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A Role is a service, or a job such as rotation, with the purposes that it may use.
// A program that only seals with a collector needs no key, and so no role.
type Role struct {
	// Name is the name of the role in comments: a-z, then up to 62 of a-z, 0-9
	// and "-".
	Name string
	// Opens are the purposes whose scopes the role opens. It may decrypt with their
	// keys, and not encrypt.
	Opens purpose.Set
	// Manages are the purposes whose scopes the role opens, and whose keys it makes,
	// rotates, retires and destroys. It may decrypt and encrypt with their keys.
	// Admin.Rewrap needs both rights on the new key.
	Manages purpose.Set
	// Member is the holder of the role in Google Cloud. Other services do not use
	// it:
	//
	//	serviceAccount:ad-service@example.iam.gserviceaccount.com
	//	serviceAccount:example.svc.id.goog[namespace/account]
	//	principal://iam.googleapis.com/… and principalSet://iam.googleapis.com/…
	//	group:…@example.com and user:…@example.com
	Member string
}

// check returns [vault.ErrInvalid] for a malformed role.
func (r Role) check() error {
	if _, err := purpose.Parse(r.Name); err != nil {
		return fmt.Errorf("kms: malformed name of a role: %w", vault.ErrInvalid)
	}
	if r.Opens.IsZero() && r.Manages.IsZero() {
		return fmt.Errorf("kms: role %s has no purposes: %w", r.Name, vault.ErrInvalid)
	}
	return nil
}

// A grant is a role's right to one key.
type grant struct {
	purpose purpose.Purpose
	key     Key
	manages bool
}

// grants returns the grants of r in the order of its purposes, after it has checked
// keys and role.
func (r Role) grants(keys Keys, s Service) ([]grant, error) {
	if err := Check(keys, s); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	var grants []grant
	for p := range r.purposes() {
		k, err := keys.Key(p)
		if err == nil {
			err = k.of(s)
		}
		if err != nil {
			return nil, err
		}
		grants = append(grants, grant{p, k, r.Manages.Contains(p)})
	}
	return grants, nil
}

func (r Role) purposes() iter.Seq[purpose.Purpose] {
	var all []purpose.Purpose
	for _, set := range []purpose.Set{r.Opens, r.Manages} {
		for p := range set.All() {
			all = append(all, p)
		}
	}
	return purpose.NewSet(all...).All()
}

// encryptionContext is the name that Tink's AWS client uses in the encryption context
// for associated data, in hexadecimal.
const encryptionContext = "associatedData"

// boundHex returns the associated data of the wrapped keys of p up to the id of the
// vault, in hexadecimal: see FORMAT.md, key records. The id is random, and is made with
// the first keys, so policies that are written before don't name it. The blank after the
// purpose keeps the purpose from being the beginning of another one.
func boundHex(p purpose.Purpose) string {
	return hex.EncodeToString([]byte("onlyfor purpose-keys " + p.String() + " "))
}
