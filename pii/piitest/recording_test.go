package piitest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

func TestRecorder(t *testing.T) {
	kit := piitest.New(t, security, advertising)
	require.Empty(t, kit.Audit.Events())
	ctx := audit.WithCaller(t.Context(), "sign-in")
	email := kit.Email(kit.Scope(security))
	kit.Audit.Reset()
	_, err := email.Reveal(ctx, kit.Scope(advertising))
	require.ErrorIs(t, err, purpose.ErrMismatch)

	events := kit.Audit.Events()
	require.Len(t, events, 2)
	require.Equal(t, audit.Open, events[0].Action)
	refusals := kit.Audit.Refusals()
	require.Len(t, refusals, 1)
	require.Equal(t, audit.Reveal, refusals[0].Action)
	require.Equal(t, advertising, refusals[0].Purpose)
	require.Equal(t, purpose.NewSet(security), refusals[0].Collected)
	require.Equal(t, "sign-in", refusals[0].Caller)
}

// sample is a kit with a value, and scopes for reading it rightly and wrongly.
type sample struct {
	*piitest.Kit
	email, both         pii.Email
	security, ads, bill *vault.Scope
	t                   testing.TB
}

func newSample(t testing.TB) *sample {
	s := &sample{Kit: piitest.New(t, security, advertising, billing), t: t}
	s.security, s.ads, s.bill = s.Scope(security), s.Scope(advertising), s.Scope(billing)
	s.email, s.both = s.Email(s.security), s.Email(s.security, s.ads)
	return s
}

func (s *sample) reveal(e pii.Email, scope *vault.Scope) { e.Reveal(s.t.Context(), scope) }

func TestRecordingPasses(t *testing.T) {
	s := newSample(t)
	rec := s.Record()
	rec.Only(t)
	rec.Never(t, audit.Reveal)
	s.reveal(s.email, s.security)
	rec.Only(t, security)
	rec.Only(t, security, advertising)
	rec.Never(t, audit.Index, audit.Hint)
	s.reveal(s.email, s.ads)
	rec.Denied(t, security, advertising)

	later := s.Record() // of a later step
	later.Only(t)
	s.reveal(s.both, s.ads)
	later.Only(t, advertising)
	require.Len(t, later.Events(), 1)
	require.Len(t, rec.Events(), 3)

	s.Scope(billing) // by the kit
	s.Email(s.bill)
	later.Only(t, advertising)
}

func TestRecordingOfAnExtension(t *testing.T) {
	s := newSample(t)
	rec := s.Record()
	_, err := s.email.Extend(t.Context(), s.security, s.ads)
	require.ErrorIs(t, err, purpose.ErrNoConsent)
	rec.Denied(t, security, advertising)
	complains(t, func(tb testing.TB) { rec.Only(tb, security) }, "extend of email under security to advertising, refused")

	rec = s.Record()
	_, err = s.email.Extend(t.Context(), s.security, s.ads.Under(purpose.Basis{Consent: "consent-1"}))
	require.NoError(t, err)
	complains(t, func(tb testing.TB) { rec.Denied(tb, security, advertising) }, "extend of email under security to advertising, at ")
}

func TestRecordingFails(t *testing.T) {
	for name, test := range map[string]struct {
		do     func(s *sample)
		assert func(testing.TB, *piitest.Recording)
		want   []string
	}{
		"only, and nothing was asked": {
			func(*sample) {},
			func(tb testing.TB, r *piitest.Recording) { r.Only(tb, security) },
			[]string{"nothing was recorded, so nothing shows that only security was used", "vault.Options.Audit"},
		},
		"only, and another was allowed": {
			func(s *sample) { s.reveal(s.both, s.ads) },
			func(tb testing.TB, r *piitest.Recording) { r.Only(tb, security, billing) },
			[]string{"want only billing+security used: found reveal of email under advertising, at recording_test.go:", "give this code the scope"},
		},
		"only, and another was refused": {
			func(s *sample) { s.reveal(s.email, s.ads) },
			func(tb testing.TB, r *piitest.Recording) { r.Only(tb, security) },
			[]string{"found reveal of email under advertising, refused, at "},
		},
		"only, and another's scope was opened": {
			func(s *sample) { s.Vault.Scope(s.t.Context(), billing) },
			func(tb testing.TB, r *piitest.Recording) { r.Only(tb, security) },
			[]string{"found open under billing, at recording_test.go:"},
		},
		"only nothing": {
			func(s *sample) { s.reveal(s.email, s.security) },
			func(tb testing.TB, r *piitest.Recording) { r.Only(tb) },
			[]string{"want only no purpose used: found reveal of email under security, at"},
		},
		"the same often": {
			func(s *sample) {
				for range 3 {
					s.reveal(s.both, s.ads)
				}
			},
			func(tb testing.TB, r *piitest.Recording) { r.Only(tb, security) },
			[]string{"(3 times)"},
		},
		"more than a message shows": {
			func(s *sample) {
				for range 2 {
					s.reveal(s.both, s.ads)
					s.both.Hint(s.t.Context(), s.ads)
					s.both.Index(s.t.Context(), s.ads)
					s.both.Reseal(s.t.Context(), s.ads)
					s.reveal(s.email, s.ads)
					s.email.Hint(s.t.Context(), s.ads)
				}
			},
			func(tb testing.TB, r *piitest.Recording) { r.Only(tb, security) },
			[]string{"; 1 more: "},
		},
		"denied, and it failed for want of time": {
			func(s *sample) {
				ctx, cancel := context.WithCancel(s.t.Context())
				cancel()
				s.email.Reveal(ctx, s.ads)
			},
			func(tb testing.TB, r *piitest.Recording) { r.Denied(tb, security, advertising) },
			[]string{"nobody asked: recorded was reveal of email under advertising, failed, at "},
		},
		"denied, and nobody asked anything": {
			func(*sample) {},
			func(tb testing.TB, r *piitest.Recording) { r.Denied(tb, security, advertising) },
			[]string{"want what was collected for security refused under advertising: nobody asked: nothing was recorded", "have the code try it, or state with Only"},
		},
		"denied, and something else was asked": {
			func(s *sample) { s.reveal(s.email, s.security); s.Email(s.ads) },
			func(tb testing.TB, r *piitest.Recording) { r.Denied(tb, security, advertising) },
			[]string{"nobody asked: recorded was reveal of email under security, at "},
		},
		"denied, and it was collected for both": {
			func(s *sample) { s.reveal(s.both, s.ads) },
			func(tb testing.TB, r *piitest.Recording) { r.Denied(tb, security, advertising) },
			[]string{"found reveal of email under advertising, at recording_test.go:", "the value was collected for both, or extended"},
		},
		"never": {
			func(s *sample) { s.reveal(s.email, s.security) },
			func(tb testing.TB, r *piitest.Recording) { r.Never(tb, audit.Reveal, audit.Extend) },
			[]string{"want no reveal or extend here: found reveal of email under security, at recording_test.go:", "use a hint, an index"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSample(t)
			rec := s.Record()
			test.do(s)
			complains(t, func(tb testing.TB) { test.assert(tb, rec) }, test.want...)
		})
	}
}

// Sealing for several purposes is no attempt of one at what is the other's.
func TestSealingIsNotDenied(t *testing.T) {
	s := newSample(t)
	rec := s.Record()
	_, err := pii.SealEmail(t.Context(), "not an address", s.security, s.ads)
	require.Error(t, err)
	_, err = pii.SealEmail(t.Context(), "sealed@example.com", s.security, s.ads)
	require.NoError(t, err)
	complains(t, func(tb testing.TB) { rec.Denied(tb, security, advertising) }, "nobody asked")
}

// A tee is an auditor of a service that records in two places.
type tee []audit.Auditor

func (t tee) Audit(ctx context.Context, e audit.Event) error {
	for _, a := range t {
		if err := a.Audit(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// openService is a service's own constructor.
func openService(ctx context.Context, store vault.Store, kek vault.KEK, auditor audit.Auditor) (*vault.Admin, error) {
	return vault.OpenAdmin(ctx, store, kek, &vault.Options{Audit: tee{auditor}})
}

func TestRecordingOfAServicesOwnVault(t *testing.T) {
	kit := piitest.New(t, security, advertising)
	audit := &piitest.Recorder{}
	v, err := openService(t.Context(), kit.Store, kit.KEK, audit)
	require.NoError(t, err)
	t.Cleanup(func() { v.Close() })
	rec := audit.Record()

	place := here(1)
	_, err = v.Scope(t.Context(), advertising)
	require.NoError(t, err)
	complains(t, func(tb testing.TB) { rec.Only(tb, security) }, "open under advertising, at "+place+":")
}

func TestPlacesAreThoseOfTheCodeUnderTest(t *testing.T) {
	s := newSample(t)
	ctx := t.Context()
	var place string
	for name, use := range map[string]func(){
		"generic method": func() { place = here(0); s.email.Reveal(ctx, s.security) },
		"own method":     func() { place = here(0); s.email.Reseal(ctx, s.security) },
		"function":       func() { place = here(0); pii.SealEmail(ctx, "place@example.com", s.security) },
		"vault":          func() { place = here(0); s.Admin.Keys(ctx, security) },
	} {
		t.Run(name, func(t *testing.T) {
			rec := s.Record()
			use()
			complains(t, func(tb testing.TB) { rec.Only(tb, billing) }, ", at "+place+":")
		})
	}
}

func TestRecordingsInParallel(t *testing.T) {
	s := newSample(t)
	for i, scope := range []*vault.Scope{s.security, s.ads, s.bill} {
		t.Run(fmt.Sprint(scope.Purpose()), func(t *testing.T) {
			t.Parallel()
			ctx, rec := s.Record().Context(t.Context())
			all := s.Record()
			// Another test meanwhile, however many of them run at once.
			_, err := pii.IndexEmail(t.Context(), "parallel@example.com", s.security)
			require.NoError(t, err)
			for range 10 + i {
				_, err := pii.IndexEmail(audit.WithCaller(ctx, "handler"), "parallel@example.com", scope)
				require.NoError(t, err)
			}
			rec.Only(t, scope.Purpose())
			require.Len(t, rec.Events(), 10+i)
			require.GreaterOrEqual(t, len(all.Events()), 11+i)
		})
	}
}

func TestRecordingAfterReset(t *testing.T) {
	s := newSample(t)
	s.reveal(s.email, s.security)
	rec := s.Record()
	s.Audit.Reset()
	s.reveal(s.email, s.security)
	require.Len(t, rec.Events(), 1)
}
