package piitest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A Kit is a vault for one test, with a record of what was done with it. It may
// be used from many goroutines at once.
type Kit struct {
	// Vault has the keys of the kit's purposes. It is closed when the test ends.
	Vault *vault.Vault
	// Admin changes the keys of Vault, to retire one in a test. A retired key can be
	// destroyed at once.
	Admin *vault.Admin
	// Audit records every event of Vault.
	Audit *Recorder
	// Store and KEK are the arguments with which Vault was opened. With them a test
	// opens a second vault as another process would, or one behind an [Outage].
	Store vault.Store
	KEK   vault.KEK

	t              testing.TB
	emails, phones atomic.Int64 // fixtures so far
}

// New returns a kit whose vault has fresh keys for the given purposes. It
// panics outside a test.
func New(t testing.TB, purposes ...purpose.Purpose) *Kit {
	mustTest()
	t.Helper()
	return newKit(t, vault.Memory(), &memoryKEK{}, purposes)
}

func newKit(t testing.TB, store vault.Store, kek vault.KEK, purposes []purpose.Purpose) *Kit {
	t.Helper()
	k := &Kit{Audit: &Recorder{}, Store: store, KEK: kek, t: t}
	admin, err := vault.OpenAdmin(t.Context(), store, kek, &vault.Options{Audit: k.Audit, DestroyAfter: time.Nanosecond})
	if err != nil {
		t.Fatalf("piitest: %v", err)
	}
	if err := admin.Generate(t.Context(), purposes...); err != nil {
		t.Fatalf("piitest: %v", err)
	}
	k.Admin, k.Vault = admin, admin.Vault()
	t.Cleanup(func() { admin.Close() })
	k.Audit.Reset() // the kit made these events, not the test
	return k
}

func mustTest() {
	if !testing.Testing() {
		panic("piitest: used outside a test")
	}
}

// Scope returns the scope of p. The test ends if the kit has no keys for p.
func (k *Kit) Scope(p purpose.Purpose) *vault.Scope {
	k.t.Helper()
	s, err := k.Vault.Scope(byKit(k.t.Context()), p)
	if err != nil {
		k.t.Fatalf("piitest: %v: name the purpose in piitest.New", err)
	}
	return s
}

// Rotate rotates the keys of p of the given role, and makes the new key primary at once: a
// test does not wait until every process knows the key. Older keys stay active. It costs
// three operations on keys, which [Kit.Audit] records. The test ends if the keys can't be
// rotated.
func (k *Kit) Rotate(p purpose.Purpose, role vault.Role) {
	k.t.Helper()
	ctx := byKit(k.t.Context())
	err := k.Admin.Rotate(ctx, p, role)
	if err == nil {
		err = promoteLast(ctx, k.Admin, p, role)
	}
	if err != nil {
		k.t.Fatalf("piitest: %v", err)
	}
}

// promoteLast makes the key primary that was published last.
func promoteLast(ctx context.Context, admin *vault.Admin, p purpose.Purpose, role vault.Role) error {
	keys, err := admin.Keys(ctx, p)
	if err != nil {
		return err
	}
	var last vault.Key
	for _, k := range keys {
		if k.Role == role && k.PrimaryAt.After(last.PrimaryAt) {
			last = k
		}
	}
	if last.PrimaryAt.IsZero() {
		return nil // the first key of a role is primary already
	}
	return admin.Promote(ctx, p, last.ID)
}

// Email returns a sealed address that no other call of this kit returns. Its domain
// is one that RFC 2606 reserves, as in all fixtures.
func (k *Kit) Email(scopes ...vault.Sealer) pii.Email {
	k.t.Helper()
	e, err := pii.SealEmail(byKit(k.t.Context()), fmt.Sprintf("person-%d@example.com", k.emails.Add(1)), scopes...)
	if err != nil {
		k.t.Fatalf("piitest: %v", err)
	}
	return e
}

// Phone returns a sealed number that no other call of this kit returns, from a range
// that is kept for fiction: +1 … 555 01xx. A kit has 10,000 of them.
func (k *Kit) Phone(scopes ...vault.Sealer) pii.Phone {
	k.t.Helper()
	n := k.phones.Add(1)
	number := fmt.Sprintf("+1%03d55501%02d", 200+n/100%100, n%100)
	p, err := pii.SealPhone(byKit(k.t.Context()), number, scopes...)
	if err != nil {
		k.t.Fatalf("piitest: %v", err)
	}
	return p
}

// Record begins a recording of all uses of the kit's vault from now on, as
// [Recorder.Record] describes.
func (k *Kit) Record() *Recording { return k.Audit.Record() }

type byKitKey struct{}

// byKit marks events of the kit itself. A [Recorder] records them, and a [Recording]
// leaves them out.
func byKit(ctx context.Context) context.Context { return context.WithValue(ctx, byKitKey{}, true) }
