package vault

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// While the store does not answer, the last answer about a subject counts for
// SubjectLifetime and, if the options say so, for SubjectGrace. Callers do not wait
// for the store again and again, and it is asked once a second.
func TestSubjectGrace(t *testing.T) {
	for name, down := range map[string]func(ctx context.Context) error{
		"fails": func(context.Context) error { return errors.New("down") },
		"hangs": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		for _, grace := range []time.Duration{0, time.Hour} {
			t.Run(name+"/"+grace.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newLookWorld(t, &Options{SubjectGrace: grace})
					s := w.s.For("alice")
					value, err := Seal(t.Context(), lookKind, "text", s)
					require.NoError(t, err)
					_, err = w.idle.Scope(t.Context(), w.s.Purpose())
					require.NoError(t, err)
					var isUp atomic.Bool
					var reads atomic.Int64
					w.store.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
						if !strings.Contains(names[0], "/subjects/") || isUp.Load() {
							return w.store.Store.Get(ctx, names...)
						}
						reads.Add(1)
						return nil, down(ctx)
					})
					uses := map[string]func() error{
						"reveal":   func() error { _, err := s.Reveal(t.Context(), lookKind, value); return err },
						"seal":     func() error { _, err := Seal(t.Context(), lookKind, "text", s); return err },
						"prefetch": func() error { return w.s.Prefetch(t.Context(), "alice") },
					}
					for _, use := range uses {
						require.NoError(t, use())
					}
					time.Sleep(defaultSubjectLifetime)
					synctest.Wait()
					if grace == 0 {
						for name, use := range uses {
							require.ErrorIs(t, use(), ErrUnavailable, name)
						}
						return
					}
					delete(uses, "prefetch")
					began := time.Now()
					for range 50 {
						for name, use := range uses {
							require.NoError(t, use(), name)
						}
					}
					require.LessOrEqual(t, time.Since(began), maxPatience, "more than one caller waited")
					for range 100 {
						time.Sleep(time.Second / 4)
						began := time.Now()
						for name, use := range uses {
							require.NoError(t, use(), name)
						}
						require.Zero(t, time.Since(began))
					}
					require.LessOrEqual(t, reads.Load(), int64(2*28))
					require.NoError(t, w.s.Prefetch(t.Context(), "alice"))
					_, err = w.s.For("bob").Reveal(t.Context(), lookKind, value)
					require.ErrorIs(t, err, ErrUnavailable, "nobody knows of bob")

					// Another process erases; this one notices once the store answers.
					_, err = w.admin.Erase(t.Context(), "alice", s.Purpose())
					require.NoError(t, err)
					require.NoError(t, uses["reveal"]())
					isUp.Store(true)
					time.Sleep(defaultTimeout + 2*time.Second)
					_ = uses["reveal"]()
					synctest.Wait()
					require.ErrorIs(t, uses["reveal"](), ErrErased)
				})
			})
		}
	}
}

// The grace ends, and an erasure by this process is not undone by it.
func TestSubjectGraceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLookWorld(t, &Options{SubjectGrace: time.Hour})
		s := w.s.For("alice")
		value, err := Seal(t.Context(), lookKind, "text", s)
		require.NoError(t, err)
		_, err = Seal(t.Context(), lookKind, "text", w.s.For("bob"))
		require.NoError(t, err)
		_, err = w.idle.Erase(t.Context(), "bob", s.Purpose())
		require.NoError(t, err)
		w.store.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
			if strings.Contains(names[0], "/subjects/") {
				return nil, errors.New("down")
			}
			return w.store.Store.Get(ctx, names...)
		})
		use := func(s *Scope) error { _, err := s.Reveal(t.Context(), lookKind, value); return err }
		time.Sleep(time.Hour)
		require.NoError(t, use(s))
		require.ErrorIs(t, use(w.s.For("bob")), ErrErased)
		time.Sleep(defaultSubjectLifetime)
		require.ErrorIs(t, use(s), ErrUnavailable)
	})
}
