package attacktest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/format"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// The parts of a collector's value in the binary form, for one purpose and a
// plaintext of less than 32 bytes under a basis without optional fields.
type collected struct{ label, id, header, wrapped, sealed []byte }

const (
	collectedHeader = 2 + 5
	collectedSealed = 12 + 32 + 16
)

func cutCollected(t *testing.T, v vault.Sealed) (c collected) {
	t.Helper()
	raw, err := v.MarshalBinary()
	require.NoError(t, err)
	at := 1 + 1 + len(v.Kind()) + 1 + 1 + len(v.Purposes().String())
	collectedWrapped := format.WrappedKeySize(raw[at+16])
	require.NotZero(t, collectedWrapped)
	for _, part := range []struct {
		to *[]byte
		n  int
	}{{&c.label, at}, {&c.id, 16}, {&c.header, collectedHeader}, {new([]byte), 2}, {&c.wrapped, collectedWrapped}, {&c.sealed, collectedSealed}} {
		*part.to, raw = raw[:part.n], raw[part.n:]
	}
	require.Empty(t, raw)
	return c
}

func (c collected) join(t *testing.T) vault.Sealed {
	t.Helper()
	b := bytes.Join([][]byte{c.label, c.id, c.header}, nil)
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.wrapped)+len(c.sealed)))
	b = append(append(b, c.wrapped...), c.sealed...)
	var v vault.Sealed
	require.NoError(t, v.UnmarshalBinary(b))
	return v
}

// No part of a value goes with the rest of another, whether they share a batch, a
// collector, a purpose or a kind.
func TestPartsOfCollectedValuesDoNotMix(t *testing.T) {
	for _, kem := range []vault.CollectorKEM{vault.XWing, vault.X25519} {
		t.Run(string(kem), func(t *testing.T) { testPartsOfCollectedValues(t, kem) })
	}
}

func testPartsOfCollectedValues(t *testing.T, kem vault.CollectorKEM) {
	v := vaulttest.Generated(t, &vault.Options{Collectors: kem}, vaulttest.Security, vaulttest.Advertising)
	c := vaulttest.Collector(t, v, vaulttest.Security)
	batch, err := c.Batch()
	require.NoError(t, err)
	other := vault.MustKind("other", "vault.Other")
	othersValue, err := vault.Seal(t.Context(), other, "text", batch)
	require.NoError(t, err)
	s, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)

	a := cutCollected(t, vaulttest.Seal(t, batch))
	vaulttest.Opens(t, s, a.join(t))
	for name, b := range map[string]collected{
		"of one batch":     cutCollected(t, vaulttest.Seal(t, batch)),
		"of one collector": cutCollected(t, vaulttest.Seal(t, c)),
		"of two purposes":  cutCollected(t, vaulttest.Seal(t, vaulttest.Collector(t, v, vaulttest.Advertising))),
		"of two kinds":     cutCollected(t, othersValue),
	} {
		t.Run(name, func(t *testing.T) {
			for mix := range 1 << 5 {
				mixed := a
				for i, part := range []struct {
					to   *[]byte
					from []byte
				}{{&mixed.label, b.label}, {&mixed.id, b.id}, {&mixed.header, b.header}, {&mixed.wrapped, b.wrapped}, {&mixed.sealed, b.sealed}} {
					if mix&(1<<i) != 0 {
						*part.to = part.from
					}
				}
				value := mixed.join(t)
				if whole := value == a.join(t) || value == b.join(t); whole {
					continue
				}
				for _, kind := range []vault.Kind{vaulttest.Note, other} {
					for _, s := range []*vault.Scope{s, ads} {
						_, err := s.Reveal(t.Context(), kind, value)
						require.Error(t, err)
						_, err = vault.Reseal(t.Context(), kind, value, nil, s)
						require.Error(t, err)
					}
				}
			}
		})
	}
}

// A collector's slot is not one of another type, and no other is a collector's.
func TestTypesOfSlotsDoNotMix(t *testing.T) {
	v := vaulttest.Generated(t, &vault.Options{Collectors: vault.X25519}, vaulttest.Security)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	short := vaulttest.Seal(t, vaulttest.Collector(t, v, vaulttest.Security))
	xwing := vaulttest.Generated(t, nil, vaulttest.Security)
	long := vaulttest.Seal(t, vaulttest.Collector(t, xwing, vaulttest.Security))
	vaulttest.Opens(t, s, short)
	vaulttest.Opens(t, vaulttest.Scope(t, xwing, vaulttest.Security), long)
	for _, value := range []vault.Sealed{vaulttest.Seal(t, s), vaulttest.Seal(t, s.For("alice")), short, long} {
		raw, err := value.MarshalBinary()
		require.NoError(t, err)
		at := bytes.Index(raw, []byte("security")) + len("security") + 16
		for typ := range byte(6) {
			if raw[at] == typ {
				continue
			}
			forged := bytes.Clone(raw)
			forged[at] = typ
			var f vault.Sealed
			if f.UnmarshalBinary(forged) != nil {
				continue
			}
			for _, s := range []*vault.Scope{s, s.For("alice")} {
				_, err := s.Reveal(t.Context(), vaulttest.Note, f)
				require.Error(t, err)
			}
			_, err = vault.Reseal(t.Context(), vaulttest.Note, f, nil, s.For("alice"))
			require.Error(t, err)
		}
	}
}

// When Erase has returned, nothing that begins after it succeeds, through whichever
// handle and however busy it is.
func TestErasingBusyHandles(t *testing.T) {
	for range 5 {
		v := vaulttest.Generated(t, nil, vaulttest.Security)
		s := vaulttest.Scope(t, v, vaulttest.Security)
		value, loose := vaulttest.Seal(t, s.For("alice")), vaulttest.Seal(t, vaulttest.Collector(t, v, vaulttest.Security))
		r := vaulttest.Reader(t, v, vaulttest.Security)
		var erased atomic.Bool
		var late atomic.Int32
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for _, use := range []func() error{
			func() error { _, err := s.For("alice").Reveal(t.Context(), vaulttest.Note, value); return err },
			func() error { _, err := r.For("alice").Reveal(t.Context(), vaulttest.Note, value); return err },
			func() error {
				_, err := vault.Reseal(t.Context(), vaulttest.Note, value, nil, s.For("alice"))
				return err
			},
			func() error {
				_, err := vault.Reseal(t.Context(), vaulttest.Note, loose, nil, s.For("alice"))
				return err
			},
			func() error { _, err := vault.Seal(t.Context(), vaulttest.Note, "text", s.For("alice")); return err },
			func() error { // a reader that is opened meanwhile
				r, err := v.Reader(t.Context(), vaulttest.Security)
				if err != nil {
					return err
				}
				if err := r.Prefetch(t.Context(), "alice"); err != nil {
					return err
				}
				_, err = r.For("alice").Reveal(t.Context(), vaulttest.Note, value)
				return err
			},
		} {
			wg.Go(func() {
				for {
					before := erased.Load()
					if err := use(); before && !errors.Is(err, vault.ErrErased) {
						late.Add(1)
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		_, err := v.Erase(t.Context(), "alice", vaulttest.Security)
		require.NoError(t, err)
		erased.Store(true)
		for range 20 {
			_, err := r.For("alice").Reveal(t.Context(), vaulttest.Note, value)
			require.ErrorIs(t, err, vault.ErrErased)
		}
		close(stop)
		wg.Wait()
		require.Zero(t, late.Load())
	}
}

// Keys change, handles come and go, and the vault is closed, all at once: what is
// returned is right or one of few errors, and after Close nothing works.
func TestClosingBusyHandles(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	value := vaulttest.Seal(t, s, vaulttest.Collector(t, vaulttest.Generated(t, nil, vaulttest.Advertising), vaulttest.Advertising))
	ctx := t.Context()
	index, err := s.Index(ctx, vaulttest.Note, "text")
	require.NoError(t, err)
	var wrong atomic.Int32
	var wg sync.WaitGroup
	stop := make(chan struct{})
	run := func(use func() (bool, error)) {
		wg.Go(func() {
			for {
				ok, err := use()
				if err == nil && !ok || err != nil && !errors.Is(err, vault.ErrNoKeys) && !errors.Is(err, vault.ErrConflict) {
					wrong.Add(1)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	run(func() (bool, error) {
		r, err := v.Reader(ctx, vaulttest.Security)
		if err != nil {
			return false, err
		}
		text, err := r.Reveal(ctx, vaulttest.Note, value)
		return text == "text", err
	})
	run(func() (bool, error) {
		l, err := v.Lookup(ctx, vaulttest.Security)
		if err != nil {
			return false, err
		}
		all, err := l.Indexes(ctx, vaulttest.Note, "text")
		return slices.Contains(all, index), err
	})
	run(func() (bool, error) {
		c, err := v.Collector(ctx, vaulttest.Security)
		if err != nil {
			return false, err
		}
		sealed, err := vault.Seal(ctx, vaulttest.Note, "text", c)
		if err != nil {
			return false, err
		}
		text, err := s.Reveal(ctx, vaulttest.Note, sealed)
		return text == "text", err
	})
	// Rotations take turns, in no order. Who rotates without end can keep another from its
	// turn until its time is up, so there are so many rotations beside each step below.
	var rotations atomic.Int32
	const beside = 10
	for _, role := range []vault.Role{vault.RoleCollect, vault.RoleIndex} {
		run(func() (bool, error) {
			if rotations.Add(-1) < 0 {
				time.Sleep(time.Millisecond)
				return true, nil
			}
			return true, v.Rotate(ctx, vaulttest.Security, role)
		})
	}
	for range 3 {
		rotations.Store(beside)
		if err := v.Rotate(ctx, vaulttest.Security, vault.RoleSeal); !errors.Is(err, vault.ErrConflict) { // with the rotations above
			require.NoError(t, err)
		}
	}
	rotations.Store(beside)
	require.NoError(t, v.Close())
	_, err = v.Reader(ctx, vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	_, err = s.Reveal(ctx, vaulttest.Note, value)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	close(stop)
	wg.Wait()
	require.Zero(t, wrong.Load())
}
