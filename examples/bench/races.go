package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A race has several ways to do one job. The first is the yardstick.
type race struct {
	name       string
	contenders []contender
}

// each returns a contender that calls f for each job.
func each(name string, f func() error) contender {
	return contender{name: name, run: func(n int) error {
		for range n {
			if err := f(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	}}
}

// asFloor makes the contender the floor of its race.
func (c contender) asFloor() contender {
	c.floor = true
	return c
}

// atMost sets the target for the cost of a contender, in floors of its race or, if the race
// has no floor, in yardsticks.
func (c contender) atMost(target float64) contender {
	c.target = target
	return c
}

// standard is AES-256-GCM of the standard library, with a random nonce in front.
type standard struct{ gcm cipher.AEAD }

func newStandard() (standard, error) {
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return standard{}, err
	}
	gcm, err := cipher.NewGCM(block)
	return standard{gcm}, err
}

func (s standard) encrypt(dst, plaintext, aad []byte) []byte {
	dst = dst[:s.gcm.NonceSize()]
	rand.Read(dst)
	return s.gcm.Seal(dst, dst, plaintext, aad)
}

func (s standard) decrypt(dst, ciphertext, aad []byte) ([]byte, error) {
	n := s.gcm.NonceSize()
	return s.gcm.Open(dst, ciphertext[:n], ciphertext[n:], aad)
}

// raw has the primitives that ours is made of.
type raw struct {
	standard standard
	aead     tink.AEAD
	prf      *prf.Set
}

func newRaw() (*raw, error) {
	r := &raw{}
	var err error
	if r.standard, err = newStandard(); err != nil {
		return nil, err
	}
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, err
	}
	if r.aead, err = aead.New(h); err != nil {
		return nil, err
	}
	if h, err = keyset.NewHandle(prf.AESCMACPRFKeyTemplate()); err != nil {
		return nil, err
	}
	r.prf, err = prf.NewPRFSet(h)
	return r, err
}

// withChecks is the name of the second floor, [checked].
const withChecks = "floor, with the checks"

// boundSize is the size of the associated data that ours binds to a value, in bytes.
const boundSize = 44

// boundIndexSize is the size of the input of an index of the address, in bytes.
const boundIndexSize = len("idx1") + 1 + len("email") + 1 + len("security") + len(address)

func allRaces(ctx context.Context, withPeers bool) ([]race, error) {
	r, err := newRaw()
	if err != nil {
		return nil, err
	}
	o, err := newOurs(ctx, r.aead)
	if err != nil {
		return nil, err
	}
	text, aad, scratch := []byte(address), make([]byte, boundSize), make([]byte, 0, 256)
	byStandard := r.standard.encrypt(make([]byte, 0, 256), text, aad)
	byTink, err := r.aead.Encrypt(text, aad)
	if err != nil {
		return nil, err
	}
	person := 0
	next := func() int { person = (person + 1) % people; return person }
	both := []vault.Sealer{o.security, o.advertising}
	notice := o.security.Under(purpose.Basis{Notice: "2fa-prompt-v3"})

	hand := byHand{r.aead}
	handText, err := hand.seal(address, aad)
	if err != nil {
		return nil, err
	}
	least, err := newFloor()
	if err != nil {
		return nil, err
	}
	leastText := least.seal(address)
	checks, err := newChecked(o.ids, nil)
	if err != nil {
		return nil, err
	}
	checkedText, err := checks.seal(ctx, address, "", true)
	if err != nil {
		return nil, err
	}
	checkedTexts := make([]string, people)
	for i, id := range o.ids {
		if checkedTexts[i], err = checks.seal(ctx, address, id, true); err != nil {
			return nil, err
		}
	}
	stored, err := o.email.MarshalText()
	if err != nil {
		return nil, err
	}
	storedText, indexed := string(stored), make([]byte, boundIndexSize)

	seal := race{name: "seal", contenders: []contender{
		each("Tink AES-256-GCM Encrypt", func() error { _, err := r.aead.Encrypt(text, aad); return err }),
		each("standard library AES-256-GCM", func() error { r.standard.encrypt(scratch, text, aad); return nil }),
		each("by hand: Tink and base64", func() error { _, err := hand.seal(address, aad); return err }),
		each("by hand: the bytes of our format alone", func() error { least.seal(address); return nil }).asFloor(),
		each(withChecks, func() error { _, err := checks.seal(ctx, address, "", false); return err }),
		each("vault.Seal, to text", func() error { _, err := vault.Seal(ctx, emailKind, address, o.security); return err }).atMost(1.5),
		each(withChecks+", of an address", func() error { _, err := checks.seal(ctx, address, "", true); return err }),
		each("pii.SealEmail, from the typed text", func() error { _, err := pii.SealEmail(ctx, address, o.security); return err }).atMost(1.6),
		each("pii.SealPhone", func() error { _, err := pii.SealPhone(ctx, number, o.security); return err }).atMost(1.6),
		each("… under a notice", func() error { _, err := pii.SealEmail(ctx, address, notice); return err }),
		each("… for two purposes", func() error { _, err := pii.SealEmail(ctx, address, both...); return err }),
		each(withChecks+", for one of 1,000 people", func() error { _, err := checks.seal(ctx, address, o.ids[next()], true); return err }),
		each("… for one of 1,000 people", func() error { _, err := pii.SealEmail(ctx, address, o.security.For(o.ids[next()])); return err }).atMost(2),
		each("… audited by slog", func() error { _, err := pii.SealEmail(ctx, address, o.audited); return err }),
		each("… by a collector's batch, with X-Wing", func() error { _, err := pii.SealEmail(ctx, address, o.batch); return err }),
		each("Email.Reseal", func() error { _, err := o.email.Reseal(ctx, o.security); return err }),
	}}
	for _, m := range mechanisms {
		scope, email, err := m.collected(ctx, r.aead)
		if err != nil {
			return nil, err
		}
		byHand, text, err := m.taken(ctx)
		if err != nil {
			return nil, err
		}
		seal.contenders = append(seal.contenders, each(withChecks+", of a batch's value, with "+string(m.name), func() error {
			_, err := byHand.takeIn(ctx, text)
			return err
		}), each("… of a batch's value, with "+string(m.name), func() error {
			_, err := email.Reseal(ctx, scope)
			return err
		}))
	}
	reveal := race{name: "reveal", contenders: []contender{
		each("Tink AES-256-GCM Decrypt", func() error { _, err := r.aead.Decrypt(byTink, aad); return err }),
		each("standard library AES-256-GCM", func() error { _, err := r.standard.decrypt(scratch, byStandard, aad); return err }),
		each("by hand: Tink and base64", func() error { _, err := hand.reveal(handText, aad); return err }),
		each("by hand: the bytes of our format alone", func() error { _, err := least.reveal(leastText); return err }).asFloor(),
		each(withChecks, func() error { _, err := checks.reveal(ctx, checkedText, ""); return err }),
		each("Email.Reveal", func() error { _, err := o.email.Reveal(ctx, o.security); return err }).atMost(1.4),
		each("Phone.Reveal", func() error { _, err := o.phone.Reveal(ctx, o.security); return err }).atMost(1.4),
		each(withChecks+", for one of 1,000 people", func() error {
			i := next()
			_, err := checks.reveal(ctx, checkedTexts[i], o.ids[i])
			return err
		}),
		each("… for one of 1,000 people", func() error {
			i := next()
			_, err := o.theirs[i].Reveal(ctx, o.security.For(o.ids[i]))
			return err
		}).atMost(1.9),
		each("… refused, for another purpose", func() error {
			if _, err := o.email.Reveal(ctx, o.advertising); !errors.Is(err, purpose.ErrMismatch) {
				return errors.New("not refused")
			}
			return nil
		}),
		each("Email.Scan of stored text", func() error { var e pii.Email; return e.Scan(storedText) }).atMost(1),
	}}
	index := race{name: "index", contenders: []contender{
		each("Tink AES-CMAC PRF, of the address", func() error { _, err := r.prf.ComputePrimaryPRF(text, vault.IndexSize); return err }),
		each("… of the bytes of an index", func() error { _, err := r.prf.ComputePrimaryPRF(indexed, vault.IndexSize); return err }).asFloor(),
		each(withChecks, func() error { _, err := checks.index(ctx, address); return err }),
		each("pii.IndexEmail", func() error { _, err := pii.IndexEmail(ctx, address, o.security); return err }).atMost(1.8),
		each("pii.IndexPhone", func() error { _, err := pii.IndexPhone(ctx, number, o.security); return err }).atMost(1.8),
	}}
	races := []race{seal, reveal, index}
	age, err := newAge(text)
	if err != nil {
		return nil, err
	}
	for _, m := range mechanisms {
		collect, err := m.races(ctx, r.aead)
		if err != nil {
			return nil, err
		}
		if m.name == vault.X25519 { // the public-key scheme of age
			collect[0].contenders = append(collect[0].contenders, age.contenders[0])
			collect[1].contenders = append(collect[1].contenders, age.contenders[1])
		}
		races = append(races, collect...)
	}
	if !withPeers {
		return races, nil
	}
	p, err := peerRaces(ctx, r)
	return append(races, p...), err
}
