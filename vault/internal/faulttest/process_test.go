package faulttest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/childtest"
	"github.com/onlyfor/onlyfor/vault/internal/seed"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

func init() {
	childtest.Children["administer"] = administer
}

// administer changes keys for as long as it lives, in a random order. It prints
// a line for each value that it has sealed and each subject that it has erased:
// what has been printed has to hold whatever happens to the process next.
func administer(args []string) error {
	ctx := context.Background()
	keys, kek := args[0], args[1]
	n, err := strconv.ParseUint(args[2], 10, 64)
	if err != nil {
		return err
	}
	random := seed.New(n)
	v, err := vault.OpenAdmin(ctx, vault.Dir(keys), vault.LocalKEK(kek), nil)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		if err := step(ctx, v, random, fmt.Sprintf("%d-%d", os.Getpid(), i)); err != nil && !errors.Is(err, vault.ErrConflict) {
			return err
		}
	}
}

func step(ctx context.Context, v *vault.Admin, random *rand.Rand, unique string) error {
	if err := v.Generate(ctx, vaulttest.Security); err != nil {
		return err
	}
	s, err := v.Scope(ctx, vaulttest.Security)
	if err != nil {
		return err
	}
	switch random.IntN(18) {
	case 0:
		return vaulttest.RotateNow(ctx, v, vaulttest.Security, vault.RoleSeal)
	case 1:
		return v.Rotate(ctx, vaulttest.Security, vault.RoleIndex)
	case 2:
		return v.RewrapSubjects(ctx, vaulttest.Security, "", nil)
	case 3, 4, 5, 6, 7:
		if err := sealAndTell(ctx, s.For(unique), unique); err != nil {
			return err
		}
		if _, err := v.Erase(ctx, unique, vaulttest.Security); err != nil {
			return err
		}
		fmt.Println("erased", unique)
		return nil
	case 8, 9, 10:
		return sealAndTell(ctx, s.For("shared"), "shared")
	default:
		return sealAndTell(ctx, s, "")
	}
}

func sealAndTell(ctx context.Context, s *vault.Scope, subject string) error {
	value, err := vault.Seal(ctx, vaulttest.Note, "text", s)
	if err != nil {
		return err
	}
	text, err := value.MarshalText()
	if err == nil {
		fmt.Printf("sealed %s %s\n", text, subject)
	}
	return err
}

// told is what a child has promised.
type told struct {
	sealed []vault.Sealed
	by     []string // the subject of each, "" for none
	erased map[string]bool
}

// read takes down what a child says, and calls begun at its first line and at its
// end.
func (p *told) read(r io.Reader, begun func()) error {
	defer begun()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		begun()
		fields := strings.Split(lines.Text(), " ")
		switch {
		case len(fields) == 2 && fields[0] == "erased":
			p.erased[fields[1]] = true
		case len(fields) == 3 && fields[0] == "sealed":
			value, err := vault.ParseSealed(fields[1])
			if err != nil {
				return err // a line that was cut off is no promise, but it does not end in a subject
			}
			p.sealed, p.by = append(p.sealed, value), append(p.by, fields[2])
		}
	}
	return lines.Err()
}

func (p *told) check(t *testing.T, keys, kek string) {
	t.Helper()
	s := vaulttest.Scope(t, vaulttest.Open(t, vault.Dir(keys), vault.LocalKEK(kek), nil), vaulttest.Security)
	for i, value := range p.sealed {
		switch subject := p.by[i]; {
		case subject == "":
			vaulttest.Opens(t, s, value)
		case p.erased[subject]:
			vaulttest.Refuses(t, s.For(subject), value, vault.ErrErased)
		default: // it may have been erased without having said so
			if _, err := s.For(subject).Reveal(t.Context(), vaulttest.Note, value); !errors.Is(err, vault.ErrErased) {
				require.NoError(t, err)
			}
		}
	}
}

// crashes is how many crashes a test is to try, 0 for a few.
func crashes() int {
	n, _ := strconv.Atoi(os.Getenv("ONLYFOR_CRASHES"))
	return n
}

// A process that is killed at any moment leaves keys that are old or new, and
// nothing that it said is lost. With ONLYFOR_CRASHES=500 that many processes are
// killed.
func TestKilledInTheMiddle(t *testing.T) {
	runs := 40
	if testing.Short() {
		runs = 5
	}
	if crashes() > 0 {
		runs = crashes()
	}
	dir := t.TempDir()
	keys, kek := filepath.Join(dir, "keys"), filepath.Join(dir, "kek")
	promises := &told{erased: map[string]bool{}}
	random := seed.Rand(t)
	for run := range runs {
		d := time.Duration(5+random.IntN(60)) * time.Millisecond
		// On a busy machine a process may not get to anything in that time. Each
		// second one is given it from its first promise on.
		start(t, promises, d, run%2 == 0, keys, kek, strconv.FormatUint(random.Uint64(), 10))()
	}
	require.NotEmpty(t, promises.sealed)
	promises.check(t, keys, kek)
}

// stress is how long processes are to get in each other's way.
func stress(t *testing.T) time.Duration {
	text := os.Getenv("ONLYFOR_STRESS")
	if text == "" {
		return 2 * time.Second
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

// Processes that change the same keys at the same time lose nothing of each
// other's. ONLYFOR_STRESS=60s has them do so for a minute.
func TestManyProcesses(t *testing.T) {
	dir := t.TempDir()
	keys, kek := filepath.Join(dir, "keys"), filepath.Join(dir, "kek")
	var promises []*told
	var ends []func()
	random := seed.Rand(t)
	for range 3 { // at once, whatever number of processors there is
		p := &told{erased: map[string]bool{}}
		promises, ends = append(promises, p), append(ends, start(t, p, stress(t), true, keys, kek, strconv.FormatUint(random.Uint64(), 10)))
	}
	for _, end := range ends {
		end()
	}
	for _, p := range promises {
		require.NotEmpty(t, p.sealed)
		p.check(t, keys, kek)
		t.Logf("%d values sealed, %d subjects erased", len(p.sealed), len(p.erased))
	}
}

// start lets a child work for a while, which begins with its first promise if
// promised is set, and kills it at whatever it is doing. It returns what waits for
// the child's end.
func start(t *testing.T, promises *told, d time.Duration, promised bool, args ...string) (end func()) {
	t.Helper()
	cmd := childtest.Command(t, "administer", args...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var once sync.Once
	kill := func() { once.Do(func() { time.AfterFunc(d, func() { cmd.Process.Kill() }) }) }
	if !promised {
		kill()
	}
	read := make(chan error, 1)
	go func() { read <- promises.read(out, kill) }()
	return func() {
		t.Helper()
		require.NoError(t, <-read)
		cmd.Wait() // it was killed
		stderr := cmd.Stderr.(*strings.Builder).String()
		require.Empty(t, stderr, "it failed before it was killed")
	}
}
