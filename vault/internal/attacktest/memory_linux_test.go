package attacktest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/childtest"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// What of values and keys can be read in a process's memory, as a core dump or
// the swap has it. MEMORY.md has the numbers. The one promise of this package,
// that its own buffers are cleared, is [TestBuffersAreCleared]'s; the collector
// is free to leave anything anywhere, so the rest is counted and not required.
//
// Everything that is looked for is masked, here and on its way to the child, so
// that the search does not find itself.

const (
	memoryValues = 500
	memoryMask   = 0xa5
	memoryWord   = 0xa5a5a5a5a5a5a5a5 // eight of it
)

// mask hides text from the search. It is no secret.
func mask(b []byte) []byte {
	masked := make([]byte, len(b))
	for i := range b {
		masked[i] = b[i] ^ memoryMask
	}
	return masked
}

// A memoryPlan is what the parent tells the child.
type memoryPlan struct {
	Sealed  []string
	Masked  [][]byte // the plaintexts
	Keys    [][]byte // raw keys of the purpose, masked
	KEK     []byte   // masked
	Wrapped []byte   // key of the key record, masked
}

// A memoryCount is how many of the values, and of the keys, are in memory.
type memoryCount struct {
	When                string
	Values, Keys        int
	KEK, KeyOfTheRecord int
}

func init() {
	childtest.Children["memory"] = func(args []string) error { return memoryChild(args[0], args[1]) }
}

// inSecret is runtime/secret's Do where it is to be had.
var inSecret func(func())

// TestWhatStaysInMemory counts, in processes of their own. With GOEXPERIMENT=runtimesecret
// it does so for calls within secret.Do as well, after which nothing may be left.
func TestWhatStaysInMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads all memory of four processes")
	}
	if vaulttest.UnderRace {
		t.Skip("the race detector's own memory takes minutes to read, and holds none of it")
	}
	dir := t.TempDir()
	memoryParent(t, dir)
	roles := []string{"reveal", "seal"}
	if inSecret != nil {
		roles = append(roles, "reveal in secret", "seal in secret")
	}
	for _, role := range roles {
		t.Run(role, func(t *testing.T) {
			cmd := childtest.Command(t, "memory", dir, role)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			require.NoError(t, err)
			counts := map[string]memoryCount{}
			for line := range bytes.Lines(out) {
				var c memoryCount
				require.NoError(t, json.Unmarshal(line, &c))
				t.Logf("%-28s %3d of %d values, %d keys of the purpose, %d of the record, %d of the KEK",
					c.When, c.Values, memoryValues, c.Keys, c.KeyOfTheRecord, c.KEK)
				counts[c.When] = c
			}
			// A search that finds itself, or nothing, counts nothing.
			require.Zero(t, counts["before"].Values)
			require.Zero(t, counts["before"].Keys)
			require.Equal(t, memoryValues, counts["held"].Values)
			require.NotZero(t, counts["held"].Keys)
			if strings.HasSuffix(role, "in secret") {
				require.Zero(t, counts["collected"].Values, "runtime/secret erases what is collected")
			}
		})
	}
}

// memoryParent makes keys and values, and leaves in dir what a child needs.
func memoryParent(t *testing.T, dir string) {
	t.Helper()
	kek := vault.LocalKEK(filepath.Join(dir, "kek"))
	store := vault.Dir(filepath.Join(dir, "keys"))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
	s := vaulttest.Scope(t, v, vaulttest.Security)
	var plan memoryPlan
	for range memoryValues {
		text := rand.Text() + "@example.com"
		value, err := vault.Seal(t.Context(), vaulttest.Note, text, s)
		require.NoError(t, err)
		sealed, err := value.MarshalText()
		require.NoError(t, err)
		plan.Sealed, plan.Masked = append(plan.Sealed, string(sealed)), append(plan.Masked, mask([]byte(text)))
	}

	file, err := os.ReadFile(filepath.Join(dir, "kek", "security.kek"))
	require.NoError(t, err)
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(file)))
	require.NoError(t, err)
	plan.KEK = rawKeys(t, h)[0]
	records, err := store.Get(t.Context(), "security/keys")
	require.NoError(t, err)
	data := records[0].Data
	kekName := 4 + 16 + 1 + int(data[20]) // where the name of the KEK ends
	n := kekName + 2 + int(binary.BigEndian.Uint16(data[kekName:]))
	wrapped := data[kekName+2 : n]
	a, err := kek.For(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	dek, err := a.Decrypt(wrapped, reference.KEKAAD("security", data[4:20]))
	require.NoError(t, err)
	plan.Wrapped = mask(dek)
	block, err := aes.NewCipher(dek)
	require.NoError(t, err)
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	require.NoError(t, err)
	payload, err := gcm.Open(nil, nil, data[n:], reference.RecordAAD("security", data[4:20], string(data[21:kekName]), wrapped))
	require.NoError(t, err)
	var keysets map[string]any
	require.NoError(t, json.Unmarshal(payload, &keysets))
	for _, role := range []string{"seal", "index", "subject", "collect"} {
		binary, err := base64.StdEncoding.DecodeString(keysets[role].(map[string]any)["keyset"].(string))
		require.NoError(t, err)
		h, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(binary)))
		require.NoError(t, err)
		plan.Keys = append(plan.Keys, rawKeys(t, h)...)
	}
	b, err := json.Marshal(plan)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "plan"), b, 0o600))
}

// rawKeys returns the keys of a keyset, masked.
func rawKeys(t *testing.T, h *keyset.Handle) (all [][]byte) {
	t.Helper()
	for i := range h.Len() {
		entry, err := h.Entry(i)
		require.NoError(t, err)
		switch k := entry.Key().(type) {
		case interface{ KeyBytes() secretdata.Bytes }:
			all = append(all, mask(k.KeyBytes().Data(insecuresecretdataaccess.Token{})))
		case interface{ PrivateKeyBytes() secretdata.Bytes }:
			all = append(all, mask(k.PrivateKeyBytes().Data(insecuresecretdataaccess.Token{})))
		default:
			t.Fatalf("a key of type %T", k)
		}
	}
	return all
}

// memoryChild uses the values as its role says, and counts what is left of them.
func memoryChild(dir, role string) error {
	b, err := os.ReadFile(filepath.Join(dir, "plan"))
	if err != nil {
		return err
	}
	var plan memoryPlan
	if err := json.Unmarshal(b, &plan); err != nil {
		return err
	}
	scan, err := newMemoryScan(&plan)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	count := func(when string) error {
		c, err := scan.count()
		c.When = when
		return errors.Join(err, out.Encode(c))
	}
	if err := count("before"); err != nil {
		return err
	}
	ctx := context.Background()
	v, err := vault.OpenAdmin(ctx, vault.Dir(filepath.Join(dir, "keys")), vault.LocalKEK(filepath.Join(dir, "kek")), nil)
	if err != nil {
		return err
	}
	s, err := v.Scope(ctx, vaulttest.Security)
	if err != nil {
		return err
	}
	within := func(f func()) { f() }
	if strings.HasSuffix(role, "in secret") {
		within = inSecret
	}
	held := make([]string, memoryValues)
	use := func(i int) error {
		if strings.HasPrefix(role, "reveal") {
			value, err := vault.ParseSealed(plan.Sealed[i])
			if err != nil {
				return err
			}
			held[i], err = s.Reveal(ctx, vaulttest.Note, value)
			return err
		}
		held[i] = string(mask(plan.Masked[i])) // as a form has it
		_, err := vault.Seal(ctx, vaulttest.Note, held[i], s)
		return err
	}
	for i := range memoryValues {
		var err error
		within(func() { err = use(i) })
		if err != nil {
			return err
		}
	}
	if err := count("held"); err != nil {
		return err
	}
	runtime.KeepAlive(held)
	clear(held)
	if err := count("dropped"); err != nil {
		return err
	}
	runtime.GC()
	runtime.GC()
	if err := count("collected"); err != nil {
		return err
	}
	runtime.KeepAlive(s)
	s = nil
	v.Close()
	runtime.GC()
	runtime.GC()
	return count("vault closed and collected")
}

// A memoryScan looks through the memory of its own process.
type memoryScan struct {
	plan   *memoryPlan
	buffer []byte           // not of Go's heap, and left out
	heads  map[uint64][]int // of what is masked: values, then keys, KEK and key of the record
	filter [1 << 16]bool    // by the first two bytes of a head
	all    [][]byte
}

func newMemoryScan(plan *memoryPlan) (*memoryScan, error) {
	buffer, err := syscall.Mmap(-1, 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	m := &memoryScan{plan: plan, buffer: buffer, heads: map[uint64][]int{}}
	m.all = append(append(m.all, plan.Masked...), plan.Keys...)
	m.all = append(m.all, plan.KEK, plan.Wrapped)
	for i, masked := range m.all {
		head := binary.LittleEndian.Uint64(masked)
		m.heads[head] = append(m.heads[head], i)
		m.filter[uint16(head^memoryWord)] = true
	}
	return m, nil
}

// count searches what is private to the process and can be written to: heap,
// stacks and globals. Of each value and key it takes the first 16 bytes.
func (m *memoryScan) count() (c memoryCount, err error) {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return c, err
	}
	defer maps.Close()
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		return c, err
	}
	defer mem.Close()
	found := make([]bool, len(m.all))
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		var from, to uint64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil {
			return c, err
		}
		if strings.HasPrefix(mode, "rw") {
			if err := m.region(mem, int64(from), int64(to), found); err != nil {
				return c, err
			}
		}
	}
	for i, yes := range found {
		switch n := i - len(m.plan.Masked); {
		case !yes:
		case n < 0:
			c.Values++
		case n < len(m.plan.Keys):
			c.Keys++
		case n == len(m.plan.Keys):
			c.KEK++
		default:
			c.KeyOfTheRecord++
		}
	}
	return c, lines.Err()
}

func (m *memoryScan) region(mem io.ReaderAt, from, to int64, found []bool) error {
	const least = 16
	own := int64(uintptr(unsafe.Pointer(&m.buffer[0])))
	if from <= own && own < to { // where neighbouring mappings are shown as one
		if err := m.region(mem, from, own, found); err != nil {
			return err
		}
		from = own + int64(len(m.buffer))
	}
	for at := from; at < to; at += int64(len(m.buffer) - least) {
		n, err := mem.ReadAt(m.buffer[:min(int64(len(m.buffer)), to-at)], at)
		if n == 0 && err != nil {
			return nil // a guard page
		}
		chunk := m.buffer[:n]
		for i := 0; i+least <= len(chunk); i++ {
			if !m.filter[binary.LittleEndian.Uint16(chunk[i:])] {
				continue
			}
			for _, j := range m.heads[binary.LittleEndian.Uint64(chunk[i:])^memoryWord] {
				if binary.LittleEndian.Uint64(chunk[i+8:])^memoryWord == binary.LittleEndian.Uint64(m.all[j][8:]) {
					found[j] = true
				}
			}
		}
	}
	return nil
}
