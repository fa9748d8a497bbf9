package pii_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
)

// One scope serves many goroutines at once and loses or mixes up no value.
// Lengths differ, so that working memory shared by mistake would show.
func TestScopeIsSharedByGoroutines(t *testing.T) {
	security, advertising := newScopes(t)
	const goroutines, each = 16, 40
	type person struct {
		email pii.Email
		phone pii.Phone
		index pii.Index
	}
	address := func(g, i int) string { return fmt.Sprintf("person.%0*d.%d@example.com", 1+i%40, g, i) }
	number := func(g, i int) string { return fmt.Sprintf("+1415%03d%04d", g, i) }

	people := make([][each]person, goroutines)
	failures := make(chan error, goroutines*each)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				p := &people[g][i]
				failures <- func() (err error) {
					if p.email, err = pii.SealEmail(ctx, address(g, i), security, advertising); err != nil {
						return err
					}
					if p.phone, err = pii.SealPhone(ctx, number(g, i), security); err != nil {
						return err
					}
					if p.index, err = pii.IndexEmail(ctx, address(g, i), security); err != nil {
						return err
					}
					if revealed, err := p.email.Reveal(ctx, advertising); err != nil || revealed != address(g, i) {
						return fmt.Errorf("revealed %q: %w", revealed, err)
					}
					if _, err := p.phone.Reveal(ctx, advertising); err == nil {
						return fmt.Errorf("revealed for another purpose")
					}
					if x, err := p.email.Index(ctx, security); err != nil || !x.Equal(p.index) {
						return fmt.Errorf("index differs: %w", err)
					}
					return nil
				}()
			}
		}()
	}
	wg.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}

	seen := make(map[string]bool)
	for g := range people {
		for i, p := range people[g] {
			revealed, err := p.email.Reveal(ctx, security)
			require.NoError(t, err)
			require.Equal(t, address(g, i), revealed)
			revealed, err = p.phone.Reveal(ctx, security)
			require.NoError(t, err)
			require.Equal(t, number(g, i), revealed)
			seen[string(indexBytes(t, p.index))] = true
			seen[textOf(t, p.email)] = true
			seen[textOf(t, p.phone)] = true
		}
	}
	require.Len(t, seen, 3*goroutines*each)
}

// Decoding into values of one's own while others print and compare theirs.
func TestValuesAreSharedByGoroutines(t *testing.T) {
	security, _ := newScopes(t)
	f := seal(t, security)
	text := []byte(textOf(t, f.email))
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 50 {
				var e pii.Email
				if e.Scan(text) != nil || !e.Equal(f.email) || e.GoString() != f.email.GoString() || e.Purposes() != f.email.Purposes() {
					t.Error("a shared value was disturbed")
				}
				if _, ok := f.email.Provenance(forSecurity); !ok {
					t.Error("no provenance")
				}
			}
		}()
	}
	wg.Wait()
}
