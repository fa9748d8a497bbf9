package main

import (
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"

	"github.com/tink-crypto/tink-go/v2/hybrid"
	tinkhpke "github.com/tink-crypto/tink-go/v2/hybrid/hpke"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A mechanism is a KEM of collectors, as each library names it.
type mechanism struct {
	name vault.CollectorKEM
	tink tinkhpke.KEMID
	hpke hpke.KEM
}

var mechanisms = []mechanism{
	{vault.XWing, tinkhpke.X_WING, hpke.MLKEM768X25519()},
	{vault.X25519, tinkhpke.DHKEM_X25519_HKDF_SHA256, hpke.DHKEM(ecdh.X25519())},
}

// races returns the races of sealing with a public key, and of revealing.
func (m mechanism) races(ctx context.Context, kek tink.AEAD) ([]race, error) {
	text, info := []byte(address), []byte("col1\x08security")
	encrypt, decrypt, err := m.byTink()
	if err != nil {
		return nil, err
	}
	byTink, err := encrypt.Encrypt(text, info)
	if err != nil {
		return nil, err
	}
	private, err := m.hpke.GenerateKey()
	if err != nil {
		return nil, err
	}
	public := private.PublicKey()
	bySuite := func() ([]byte, error) { return hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), info, text) }
	byStandard, err := bySuite()
	if err != nil {
		return nil, err
	}
	v, scope, err := m.open(ctx, kek)
	if err != nil {
		return nil, err
	}
	collector, err := v.Collector(ctx, security)
	if err != nil {
		return nil, err
	}
	batch, err := collector.Batch()
	if err != nil {
		return nil, err
	}
	// An opened scope keeps the slot keys of the last few batches: each of these values
	// has one of its own, and there are more.
	alone, together := make([]pii.Email, 64), make([]pii.Email, 2)
	for i := range alone {
		if alone[i], err = pii.SealEmail(ctx, address, collector); err != nil {
			return nil, err
		}
	}
	for i := range together {
		if together[i], err = pii.SealEmail(ctx, address, batch); err != nil {
			return nil, err
		}
	}
	reveal := func(name string, values []pii.Email) contender {
		n := 0
		return each(name, func() error {
			n++
			_, err := values[n%len(values)].Reveal(ctx, scope)
			return err
		})
	}
	return []race{
		{name: "collect, with " + string(m.name), contenders: []contender{
			each("Tink HPKE Encrypt", func() error { _, err := encrypt.Encrypt(text, info); return err }),
			each("crypto/hpke Seal", func() error { _, err := bySuite(); return err }),
			each("pii.SealEmail by a collector", func() error { _, err := pii.SealEmail(ctx, address, collector); return err }).atMost(0.8),
			each("… by a collector's batch", func() error { _, err := pii.SealEmail(ctx, address, batch); return err }).atMost(1.0 / 20),
		}},
		{name: "reveal what was collected, with " + string(m.name), contenders: []contender{
			each("Tink HPKE Decrypt", func() error { _, err := decrypt.Decrypt(byTink, info); return err }),
			each("crypto/hpke Open", func() error {
				_, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), info, byStandard)
				return err
			}),
			reveal("Email.Reveal", alone).atMost(0.5),
			reveal("… of a batch", together).atMost(1.0 / 20),
		}},
	}, nil
}

// open returns a vault whose collectors use m, and its scope.
func (m mechanism) open(ctx context.Context, kek tink.AEAD) (*vault.Admin, *vault.Scope, error) {
	v, err := vault.OpenAdmin(ctx, vault.Memory(), vault.SharedKEK(kek), &vault.Options{Collectors: m.name})
	if err != nil {
		return nil, nil, err
	}
	if err := v.Generate(ctx, security); err != nil {
		return nil, nil, err
	}
	scope, err := v.Scope(ctx, security)
	return v, scope, err
}

// collected returns a value of a collector's batch, and the scope that takes it in.
func (m mechanism) collected(ctx context.Context, kek tink.AEAD) (*vault.Scope, pii.Email, error) {
	v, scope, err := m.open(ctx, kek)
	if err != nil {
		return nil, pii.Email{}, err
	}
	collector, err := v.Collector(ctx, security)
	if err != nil {
		return nil, pii.Email{}, err
	}
	batch, err := collector.Batch()
	if err != nil {
		return nil, pii.Email{}, err
	}
	email, err := pii.SealEmail(ctx, address, batch)
	return scope, email, err
}

// taken returns the second floor with a key pair of a collector, and the text of a value of a
// batch that package vault sealed for it.
func (m mechanism) taken(ctx context.Context) (*checked, string, error) {
	private, err := m.hpke.GenerateKey()
	if err != nil {
		return nil, "", err
	}
	c, err := newChecked(nil, private)
	if err != nil {
		return nil, "", err
	}
	collector, err := collectorOf(m, private.PublicKey())
	if err != nil {
		return nil, "", err
	}
	batch, err := collector.Batch()
	if err != nil {
		return nil, "", err
	}
	email, err := pii.SealEmail(ctx, address, batch)
	if err != nil {
		return nil, "", err
	}
	text, err := email.MarshalText()
	return c, string(text), err
}

func (m mechanism) byTink() (tink.HybridEncrypt, tink.HybridDecrypt, error) {
	params, err := tinkhpke.NewParameters(tinkhpke.ParametersOpts{
		KEMID: m.tink, KDFID: tinkhpke.HKDFSHA256, AEADID: tinkhpke.AES256GCM, Variant: tinkhpke.VariantTink,
	})
	if err != nil {
		return nil, nil, err
	}
	keys := keyset.NewManager()
	id, err := keys.AddNewKeyFromParameters(params)
	if err != nil {
		return nil, nil, err
	}
	if err := keys.SetPrimary(id); err != nil {
		return nil, nil, err
	}
	h, err := keys.Handle()
	if err != nil {
		return nil, nil, err
	}
	public, err := h.Public()
	if err != nil {
		return nil, nil, err
	}
	encrypt, err := hybrid.NewHybridEncrypt(public)
	if err != nil {
		return nil, nil, err
	}
	decrypt, err := hybrid.NewHybridDecrypt(h)
	return encrypt, decrypt, err
}

// collectorOf returns a collector of package vault for a public key that a program by hand has
// the private key of.
func collectorOf(m mechanism, public hpke.PublicKey) (*vault.Collector, error) {
	magic := "ofc1"
	if m.name == vault.XWing {
		magic = "ofc2"
	}
	body := append([]byte{0, 0, 0, 1}, public.Bytes()...)
	sum := sha256.Sum256(append([]byte(magic+".security."), body...))
	return vault.ParseCollector(magic+".security."+base64.RawURLEncoding.EncodeToString(append(body, sum[:4]...)), nil)
}
