package sqlstore_test

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

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/childtest"
	"github.com/onlyfor/onlyfor/vault/internal/seed"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

func init() { childtest.Children["administer"] = administer }

var (
	crashPurpose = purpose.MustParse("security")
	crashKind    = vault.MustKind("note", "vault.Note")
)

// administer changes keys for as long as it lives, in a random order. It prints
// each value that it has sealed and each subject that it has erased: what was
// printed has to hold whatever happens to the process next.
func administer(args []string) error {
	ctx := context.Background()
	n, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	random := seed.New(n)
	store, err := childStore(args[2:])
	if err != nil {
		return err
	}
	v, err := vault.OpenAdmin(ctx, store, vault.LocalKEK(args[0]), nil)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		// An overtaken change is to be repeated, and so is what a database that
		// is busy did not do in time.
		err := administerOnce(ctx, v, random, fmt.Sprintf("%d-%d", os.Getpid(), i))
		if err != nil && !errors.Is(err, vault.ErrConflict) && !errors.Is(err, vault.ErrUnavailable) {
			return err
		}
	}
}

func administerOnce(ctx context.Context, v *vault.Admin, random *rand.Rand, unique string) error {
	if err := v.Generate(ctx, crashPurpose); err != nil { // which does nothing but the first time
		return err
	}
	s, err := v.Scope(ctx, crashPurpose)
	if err != nil {
		return err
	}
	switch random.IntN(18) {
	case 0:
		return vaulttest.RotateNow(ctx, v, crashPurpose, vault.RoleSeal)
	case 1:
		return v.Rotate(ctx, crashPurpose, vault.RoleIndex)
	case 2:
		return v.RewrapSubjects(ctx, crashPurpose, "", nil)
	case 3, 4, 5, 6, 7:
		if err := tell(ctx, s.For(unique), unique); err != nil {
			return err
		}
		if _, err := v.Erase(ctx, unique, crashPurpose); err != nil {
			return err
		}
		_, err := fmt.Println("erased", unique)
		return err
	case 8, 9, 10:
		return tell(ctx, s.For("shared"), "shared")
	default:
		return tell(ctx, s, "")
	}
}

func tell(ctx context.Context, s *vault.Scope, subject string) error {
	value, err := vault.Seal(ctx, crashKind, "text", s)
	if err != nil {
		return err
	}
	text, err := value.MarshalText()
	if err == nil {
		_, err = fmt.Printf("sealed %s %s\n", text, subject)
	}
	return err
}

// Processes that change the same keys at the same time, and are killed in the
// middle of it, lose nothing of each other's: every value that was sealed opens,
// and who was erased stays so. ONLYFOR_STRESS=60s has them do so for a minute.
func TestManyProcesses(t *testing.T) {
	d := time.Second
	if text := os.Getenv("ONLYFOR_STRESS"); text != "" {
		var err error
		d, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	onEachDatabase(t, func(t *testing.T, db database) {
		tab := db.table(t)
		kek := filepath.Join(t.TempDir(), "kek")
		sealed, erased := map[string]string{}, map[string]bool{}
		told := make(chan string)
		var ends []func() error
		random := seed.Rand(t)
		for range 3 {
			cmd := childtest.Command(t, "administer", append([]string{kek, strconv.FormatUint(random.Uint64(), 10)}, tab.childArgs()...)...)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			// Its time begins when it has promised something: a busy machine may
			// need all of it to get that far.
			begun := sync.OnceFunc(func() { time.AfterFunc(d, func() { cmd.Process.Kill() }) })
			read := make(chan error, 1)
			go func() { read <- readLines(out, told, begun) }()
			ends = append(ends, func() error {
				err := <-read
				cmd.Wait() // it was killed
				if text := cmd.Stderr.(*strings.Builder).String(); text != "" {
					err = errors.New(text)
				}
				return err
			})
		}
		done := make(chan error, 1)
		go func() {
			var errs []error
			for _, end := range ends {
				errs = append(errs, end())
			}
			close(told)
			done <- errors.Join(errs...)
		}()
		for line := range told {
			switch fields := strings.Split(line, " "); {
			case len(fields) == 2 && fields[0] == "erased":
				erased[fields[1]] = true
			case len(fields) == 3 && fields[0] == "sealed":
				sealed[fields[1]] = fields[2]
			}
		}
		require.NoError(t, <-done)

		v, err := vault.OpenAdmin(t.Context(), tab.over(t, tab.open(t)), vault.LocalKEK(kek), nil)
		require.NoError(t, err)
		defer v.Close()
		s, err := v.Scope(t.Context(), crashPurpose)
		require.NoError(t, err)
		require.NotEmpty(t, sealed)
		for text, subject := range sealed {
			value, err := vault.ParseSealed(text)
			require.NoError(t, err)
			by := s
			if subject != "" {
				by = s.For(subject)
			}
			revealed, err := by.Reveal(t.Context(), crashKind, value)
			if erased[subject] {
				require.ErrorIs(t, err, vault.ErrErased)
				continue
			}
			// It may have been erased without having said so.
			if subject == "" || subject == "shared" || !errors.Is(err, vault.ErrErased) {
				require.NoError(t, err)
				require.Equal(t, "text", revealed)
			}
		}
		t.Logf("%d values sealed, %d subjects erased", len(sealed), len(erased))
	})
}

// readLines hands on lines, but not a last one that was cut off. It calls begun at
// the first of them and at the end.
func readLines(r io.Reader, to chan<- string, begun func()) error {
	defer begun()
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil // killed
		}
		begun()
		to <- strings.TrimSuffix(line, "\n")
	}
}
