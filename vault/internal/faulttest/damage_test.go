package faulttest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A damagedPerson is one of the people of a Dir. The test damages the file of their
// record.
type damagedPerson struct {
	dir, file string // the file is the record of the person
	other     string // the file of another person's record
	twin      string // the file of the same person's record under another purpose
}

// The damages to one file of a Dir. Each leaves the files of other people as they are.
var damages = map[string]func(t *testing.T, p damagedPerson){
	"garbled": func(t *testing.T, p damagedPerson) {
		b := readFile(t, p.file)
		b[len(b)-3] ^= 1
		writeFile(t, p.file, b)
	},
	"under an unknown key": func(t *testing.T, p damagedPerson) {
		b := readFile(t, p.file)
		b[bytes.Index(b, []byte("ofs1"))+5] ^= 1
		writeFile(t, p.file, b)
	},
	"of another kind": func(t *testing.T, p damagedPerson) {
		writeFile(t, p.file, bytes.Replace(readFile(t, p.file), []byte("ofs1"), []byte("ofx1"), 1))
	},
	"truncated": func(t *testing.T, p damagedPerson) {
		b := readFile(t, p.file)
		writeFile(t, p.file, b[:len(b)-20])
	},
	"no more than a header": func(t *testing.T, p damagedPerson) { writeFile(t, p.file, readFile(t, p.file)[:20]) },
	"too long":              func(t *testing.T, p damagedPerson) { writeFile(t, p.file, append(readFile(t, p.file), 'x')) },
	"empty":                 func(t *testing.T, p damagedPerson) { writeFile(t, p.file, nil) },
	"another person's":      func(t *testing.T, p damagedPerson) { writeFile(t, p.file, readFile(t, p.other)) },
	"another purpose's":     func(t *testing.T, p damagedPerson) { writeFile(t, p.file, readFile(t, p.twin)) },
}

// misplaced are files that are not the record of anybody. The records of all people are
// in order.
var misplaced = map[string]func(t *testing.T, p damagedPerson){
	"a name that is no pseudonym": func(t *testing.T, p damagedPerson) {
		writeFile(t, filepath.Join(p.dir, "security", "subjects", filepath.Base(filepath.Dir(p.file)), "nobody.key"), readFile(t, p.file))
	},
	"a copy in another folder": func(t *testing.T, p damagedPerson) {
		folder := filepath.Join(p.dir, "security", "subjects", "zz")
		require.NoError(t, os.Mkdir(folder, 0o700))
		writeFile(t, filepath.Join(folder, filepath.Base(p.file)), readFile(t, p.file))
	},
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, b, 0o600))
}

// The operations of package vault that go through the records of many people. Each
// returns the number of people that it did.
var batchOperations = map[string]func(ctx context.Context, t *testing.T, a *vault.Admin, people []person, reads *vaulttest.Counting) (int, error){
	"Scope.Prefetch": func(ctx context.Context, t *testing.T, a *vault.Admin, people []person, reads *vaulttest.Counting) (int, error) {
		s := vaulttest.Scope(t, a, vaulttest.Security)
		err := s.Prefetch(ctx, subjectsOf(people)...)
		return opened(t, people, reads, func(subject string, v vault.Sealed) error {
			_, err := s.For(subject).Reveal(ctx, vaulttest.Note, v)
			return err
		}), err
	},
	"Reader.Prefetch": func(ctx context.Context, t *testing.T, a *vault.Admin, people []person, reads *vaulttest.Counting) (int, error) {
		r, err := a.Reader(ctx, vaulttest.Security)
		require.NoError(t, err)
		err = r.Prefetch(ctx, subjectsOf(people)...)
		return opened(t, people, reads, func(subject string, v vault.Sealed) error {
			_, err := r.For(subject).Reveal(ctx, vaulttest.Note, v)
			return err
		}), err
	},
	"Admin.RewrapSubjects": func(ctx context.Context, t *testing.T, a *vault.Admin, people []person, reads *vaulttest.Counting) (int, error) {
		vaulttest.Rotate(t, a, vaulttest.Security, vault.RoleSeal)
		var last vault.Progress
		var corrupt string
		err := a.RewrapSubjects(ctx, vaulttest.Security, "", func(p vault.Progress) error {
			require.Equal(t, p.Seen, p.Changed+p.Corrupt)
			if p.Corrupt > last.Corrupt {
				corrupt = p.After
			}
			last = p
			return nil
		})
		if err != nil {
			require.Equal(t, 1, last.Corrupt)
			require.ErrorContains(t, err, corrupt, "the error names the record")
		}
		return last.Changed, err
	},
}

// A person has a value in the vault of the test.
type person struct {
	subject string
	value   vault.Sealed
}

func subjectsOf(people []person) (all []string) {
	for _, p := range people {
		all = append(all, p.subject)
	}
	return all
}

// opened returns the number of people whose values open without a read of the store.
func opened(t *testing.T, people []person, reads *vaulttest.Counting, reveal func(string, vault.Sealed) error) (n int) {
	t.Helper()
	for _, p := range people {
		before := reads.Gets.Load()
		err := reveal(p.subject, p.value)
		if err == nil {
			if reads.Gets.Load() == before {
				n++
			}
			continue
		}
		require.ErrorIs(t, err, vault.ErrCorrupt)
		require.NotErrorIs(t, err, vault.ErrUnavailable)
	}
	return n
}

// One bad record costs one person: the operation is done for all other people, and its
// error is ErrCorrupt.
func TestOneBadRecordCostsOnePerson(t *testing.T) {
	const n = 9
	run := func(t *testing.T, damage func(*testing.T, damagedPerson), use func(context.Context, *testing.T, *vault.Admin, []person, *vaulttest.Counting) (int, error)) (int, error) {
		ctx := t.Context()
		dir := filepath.Join(t.TempDir(), "keys")
		store, kek := vault.Dir(dir), vault.SharedKEK(vaulttest.NewAEAD(t))
		v := vaulttest.Open(t, store, kek, nil)
		require.NoError(t, v.Generate(ctx, vaulttest.Security, vaulttest.Advertising))
		s, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
		file := func(s *vault.Scope, subject string) string {
			name, err := s.Pseudonym(ctx, subject)
			require.NoError(t, err)
			return filepath.Join(dir, s.Purpose().String(), "subjects", name[:2], name+".key")
		}
		var people []person
		for i := range n {
			subject := fmt.Sprint("user-", i)
			value, err := vault.Seal(ctx, vaulttest.Note, "text", s.For(subject))
			require.NoError(t, err)
			people = append(people, person{subject, value})
			_, err = vault.Seal(ctx, vaulttest.Note, "text", ads.For(subject))
			require.NoError(t, err)
		}
		damage(t, damagedPerson{dir, file(s, "user-4"), file(s, "user-5"), file(ads, "user-4")})
		reads := &vaulttest.Counting{Store: store}
		return use(ctx, t, vaulttest.Open(t, reads, kek, nil), people, reads)
	}
	for operation, use := range batchOperations {
		for damage, do := range damages {
			t.Run(operation+" "+damage, func(t *testing.T) {
				done, err := run(t, do, use)
				require.Equal(t, n-1, done)
				require.ErrorIs(t, err, vault.ErrCorrupt)
				require.NotErrorIs(t, err, vault.ErrUnavailable)
				require.NotContains(t, err.Error(), "user-")
			})
		}
	}
	for name, do := range misplaced {
		t.Run("Admin.RewrapSubjects "+name, func(t *testing.T) {
			done, err := run(t, do, batchOperations["Admin.RewrapSubjects"])
			require.Equal(t, n, done)
			require.ErrorIs(t, err, vault.ErrCorrupt)
		})
	}
}

// Every method of package vault that takes many subjects, or reports its progress, is
// among the batch operations.
func TestEveryBatchOperationIsTried(t *testing.T) {
	var found, tried []string
	for _, handle := range []any{&vault.Admin{}, &vault.Scope{}, &vault.Reader{}, &vault.Lookup{}, &vault.Collector{}} {
		typ := reflect.TypeOf(handle)
		for i := range typ.NumMethod() {
			m := typ.Method(i)
			for j := range m.Type.NumIn() {
				if in := m.Type.In(j); in == reflect.TypeFor[[]string]() || in == reflect.TypeFor[func(vault.Progress) error]() {
					found = append(found, typ.Elem().Name()+"."+m.Name)
				}
			}
		}
	}
	for name := range batchOperations {
		tried = append(tried, name)
	}
	slices.Sort(found)
	slices.Sort(tried)
	require.Equal(t, found, tried)
}
