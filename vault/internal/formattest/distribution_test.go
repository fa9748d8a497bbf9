package formattest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/childtest"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// What has to look random: nonces, value ids and indexes. No such test proves that
// they are; each of these fails where somebody counts, derives, truncates or seeds
// what they should draw.

// falseAlarm bounds the probability with which one call of requireUniform fails for
// bytes that are uniform. Value ids and nonces are drawn anew in each run, with two
// calls. Indexes are of fixed keys, so these tests always pass or always fail.
const falseAlarm = 1e-15

// requireUniform fails unless samples, all of one length, look like independent
// uniform bytes. It shares falseAlarm among its checks:
//
//   - Each bit is set in about half of the samples, and so it is in the differences
//     of neighbours, which a counter or a slow generator fails. By Hoeffding's
//     inequality a sum of n fair bits is off by more than d with probability at most
//     2·exp(-2d²/n).
//   - At each position all bytes come up alike: Pearson's statistic has a chi-squared
//     distribution with 255 degrees of freedom (the bins hold hundreds, and it is
//     close), and exceeds 255 + 2·√(255·x) + 2x with probability at most exp(-x)
//     (Laurent and Massart, 2000, lemma 1).
func requireUniform(t *testing.T, samples [][]byte) {
	t.Helper()
	size := len(samples[0])
	require.Greater(t, len(samples), 100*256, "too few for these bounds")
	checks := float64(2*8*size + size)
	ones, changes := make([]int, 8*size), make([]int, 8*size)
	bytes := make([][256]int, size)
	for i, s := range samples {
		require.Len(t, s, size)
		for j, b := range s {
			bytes[j][b]++
			for k := range 8 {
				ones[8*j+k] += int(b >> k & 1)
				if i > 0 {
					changes[8*j+k] += int((b ^ samples[i-1][j]) >> k & 1)
				}
			}
		}
	}
	requireHalf := func(what string, n int, counts []int) {
		t.Helper()
		off := math.Sqrt(float64(n) / 2 * math.Log(2*checks/falseAlarm))
		for i, count := range counts {
			if math.Abs(float64(count)-float64(n)/2) > off {
				t.Fatalf("bit %d %s in %d of %d", i, what, count, n)
			}
		}
	}
	requireHalf("is set", len(samples), ones)
	requireHalf("changes", len(samples)-1, changes)

	x := math.Log(checks / falseAlarm)
	most := 255 + 2*math.Sqrt(255*x) + 2*x
	expected := float64(len(samples)) / 256
	for i := range bytes {
		sum := 0.0
		for _, n := range bytes[i] {
			sum += (float64(n) - expected) * (float64(n) - expected) / expected
		}
		if sum > most {
			t.Fatalf("byte %d: chi-squared is %.0f, and at most %.0f", i, sum, most)
		}
	}
}

// A tally holds what must never come twice.
type tally map[string]struct{}

func (s tally) add(t testing.TB, b []byte) {
	t.Helper()
	if _, twice := s[string(b)]; twice {
		t.Fatal("came twice")
	}
	s[string(b)] = struct{}{}
}

// sealedIDs returns the value id and the nonce of n values for security, all of
// them sealed under one key.
func sealedIDs(s *vault.Scope, n int) (ids, nonces [][]byte, err error) {
	head := len("\x01\x05email\x01\x08security")
	for range n {
		sealed, err := vault.Seal(context.Background(), vaulttest.Email, vaulttest.Address, s)
		if err != nil {
			return nil, nil, err
		}
		data, err := sealed.MarshalBinary()
		if err != nil {
			return nil, nil, err
		}
		const header, length, prefix = 7, 2, 5
		at := head + 16
		ids, nonces = append(ids, data[head:at]), append(nonces, data[at+header+length+prefix:][:12])
	}
	return ids, nonces, nil
}

// One key, and more than 100,000 values of four goroutines at once: no nonce and no
// id comes twice, though ids are drawn from generators that are seeded anew every
// few thousand, and both are uniform.
func TestNoncesAndIDsAreUniform(t *testing.T) {
	s := vaulttest.ScopeNamed(t, vaulttest.VaultOfKeys(t, vaulttest.Keys), "security")
	n := 28_000
	if testing.Short() || vaulttest.UnderRace {
		n = 7_000
	}
	if vaulttest.Exhaustive() {
		n = 500_000
	}
	var allIDs, allNonces [4][][]byte
	var errs [4]error
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { allIDs[i], allNonces[i], errs[i] = sealedIDs(s, n) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs[:]...))
	seen := tally{}
	var ids, nonces [][]byte
	for i := range errs {
		for j := range n {
			seen.add(t, allIDs[i][j])
			seen.add(t, allNonces[i][j])
		}
		ids, nonces = append(ids, allIDs[i]...), append(nonces, allNonces[i]...)
	}
	requireUniform(t, ids)
	requireUniform(t, nonces)
}

func init() {
	childtest.Children["seal values"] = func([]string) error {
		t := new(childT)
		s := vaulttest.ScopeNamed(t, vaulttest.VaultOfKeys(t, vaulttest.Keys), "security")
		ids, nonces, err := sealedIDs(s, perChild)
		for i := range ids {
			fmt.Printf("%x %x\n", ids[i], nonces[i])
		}
		return err
	}
	childtest.Children["compute indexes"] = func([]string) error {
		t := new(childT)
		s := vaulttest.ScopeNamed(t, vaulttest.VaultOfKeys(t, vaulttest.Keys), "security")
		for i := range perChild {
			index, err := s.Index(context.Background(), vaulttest.Phone, numberOf(i))
			if err != nil {
				return err
			}
			fmt.Printf("%x\n", index)
		}
		return nil
	}
}

// childT is a testing.TB for a process that runs no test.
type childT struct{ testing.TB }

func (*childT) Helper()                   {}
func (*childT) Errorf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (*childT) FailNow()                  { panic("failed") }

const perChild = 5_000 // more than follow from one seed

func childLines(t *testing.T, names ...string) (all [][]string) {
	t.Helper()
	cmds, outs := make([]*exec.Cmd, len(names)), make([]io.Reader, len(names))
	for i, name := range names {
		cmds[i] = childtest.Command(t, name)
		out, err := cmds[i].StdoutPipe()
		require.NoError(t, err)
		outs[i] = out
		require.NoError(t, cmds[i].Start())
	}
	for i, cmd := range cmds {
		out, err := io.ReadAll(outs[i])
		require.NoError(t, err)
		require.NoError(t, cmd.Wait(), cmd.Stderr)
		all = append(all, strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"))
		require.Len(t, all[i], perChild)
	}
	return all
}

// Processes that start at the same moment with the same keys draw other nonces and
// other ids.
func TestProcessesDrawApart(t *testing.T) {
	seen := tally{}
	for _, lines := range childLines(t, "seal values", "seal values", "seal values") {
		for _, line := range lines {
			id, nonce, _ := strings.Cut(line, " ")
			seen.add(t, reference.Hex(id))
			seen.add(t, reference.Hex(nonce))
		}
	}
	s := vaulttest.ScopeNamed(t, vaulttest.VaultOfKeys(t, vaulttest.Keys), "security")
	ids, nonces, err := sealedIDs(s, perChild)
	require.NoError(t, err)
	for i := range ids {
		seen.add(t, ids[i])
		seen.add(t, nonces[i])
	}
}

// numberOf is the i-th of numbers in sequence.
func numberOf(i int) string { return fmt.Sprintf("+4915%08d", 20_000_000+i) }

// Indexes of numbers in sequence, each of which differs from the next in a digit or
// few, are uniform, distinct, and half of their bits change from one to the next.
// Those of two kinds and of two purposes have nothing to do with each other, even
// where both purposes have the same key.
func TestIndexesAreUniform(t *testing.T) {
	ctx := t.Context()
	keys := map[string]reference.Keys{}
	for name := range vaulttest.Keys {
		keys[name] = reference.Keys{Seal: vaulttest.Keys[name].Seal, Index: []reference.Key{vaulttest.Key("uniform "+name, 7)}, Subject: vaulttest.Keys[name].Subject}
	}
	shared := keys["security"].Index
	keys["billing"] = reference.Keys{Seal: vaulttest.Keys["billing"].Seal, Index: shared, Subject: vaulttest.Keys["billing"].Subject}
	v := vaulttest.VaultOfKeys(t, keys)
	security, billing, advertising := vaulttest.ScopeNamed(t, v, "security"), vaulttest.ScopeNamed(t, v, "billing"), vaulttest.ScopeNamed(t, v, "advertising")
	n := 1 << 15
	if vaulttest.Exhaustive() {
		n = 1 << 20
	}
	seen := tally{}
	var indexes, kinds, purposes, keysApart [][]byte
	for i := range n {
		of := func(s *vault.Scope, kind vault.Kind) []byte {
			index, err := s.Index(ctx, kind, numberOf(i))
			if err != nil {
				t.Fatal(err)
			}
			seen.add(t, index[:])
			return index[:]
		}
		index := of(security, vaulttest.Phone)
		indexes = append(indexes, index)
		kinds = append(kinds, reference.XOR(index, of(security, vaulttest.TaxID)))
		purposes = append(purposes, reference.XOR(index, of(billing, vaulttest.Phone)))
		keysApart = append(keysApart, reference.XOR(index, of(advertising, vaulttest.Phone)))
	}
	for _, samples := range [][][]byte{indexes, kinds, purposes, keysApart} {
		requireUniform(t, samples)
	}
}

// One digit of a number, or one bit of any canonical text, changes half of an index:
// of all bits that could change, and of each.
func TestIndexesAvalanche(t *testing.T) {
	ctx := t.Context()
	s := vaulttest.ScopeNamed(t, vaulttest.VaultOfKeys(t, vaulttest.Keys), "security")
	index := func(text string) []byte {
		index, err := s.Index(ctx, vaulttest.Phone, text)
		if err != nil {
			t.Fatal(err)
		}
		return index[:]
	}
	changed, all := 0, 0
	var each [8 * vault.IndexSize]int
	compare := func(a, b []byte) {
		for i, b := range reference.XOR(a, b) {
			changed += bits.OnesCount8(b)
			for k := range 8 {
				each[8*i+k] += int(b >> k & 1)
			}
		}
		all++
	}
	for i := range 400 {
		text := numberOf(7919 * i)
		before := index(text)
		require.Equal(t, before, index(text), "equal text has an equal index")
		for at := 1; at < len(text); at++ {
			digit := byte('0' + (text[at]-'0'+1+byte(i)%9)%10)
			compare(before, index(text[:at]+string(digit)+text[at+1:]))
		}
		long := []byte(strings.Repeat(text, 1+i%70))
		before = index(string(long))
		bit := (i * 31) % (8 * len(long))
		long[bit/8] ^= 1 << (bit % 8)
		compare(before, index(string(long)))
	}
	// Hoeffding's inequality, as above.
	const checks = 1 + 8*vault.IndexSize
	off := func(n int) float64 { return math.Sqrt(float64(n) / 2 * math.Log(2*checks/falseAlarm)) }
	require.InDelta(t, float64(8*vault.IndexSize*all)/2, changed, off(8*vault.IndexSize*all))
	for i, n := range each {
		require.InDelta(t, float64(all)/2, n, off(all), "bit %d", i)
	}
}

// An index is the same in every process, in every vault over the same keys, beside
// other work, and for ever.
func TestEqualTextHasEqualIndex(t *testing.T) {
	lines := childLines(t, "compute indexes", "compute indexes")
	require.Equal(t, lines[0], lines[1])
	v := vaulttest.VaultOfKeys(t, vaulttest.Keys)
	a, b := vaulttest.ScopeNamed(t, v, "security"), vaulttest.ScopeNamed(t, v, "security").For("alice").Under(purpose.Basis{Notice: "n"})
	key := vaulttest.Keys["security"].Index[0].Key
	for i, line := range lines[0] {
		for _, s := range []*vault.Scope{a, b} {
			index, err := s.Index(t.Context(), vaulttest.Phone, numberOf(i))
			require.NoError(t, err)
			require.Equal(t, line, hex.EncodeToString(index[:]))
		}
		if i%100 == 0 {
			require.Equal(t, line, hex.EncodeToString(reference.Index(key, "phone", "security", numberOf(i))))
		}
	}
}
