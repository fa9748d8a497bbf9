package main

import (
	"context"
	"io"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/adtargeting/purposes"
)

// A story is the cast, and the events so far.
type story struct {
	opts   options
	state  *state
	out    io.Writer
	errs   io.Writer
	audit  *recorder
	vault  *vault.Vault
	users  *userStore
	walker walker

	signUp *signUp
	signIn *signIn
	sms    *fakeGateway
	team   *adTeam

	visitors   []person // the first who signed up, to sign in again
	registered int64
	listed     int64  // registered people on the list, computed without the library
	expected   int64  // listed people who consented to ads
	roads      []road // of all processes
}

// newStory makes keys and a database, and gives each component only the scopes that
// it needs.
func newStory(ctx context.Context, o options, st *state, out, errs io.Writer) (_ *story, err error) {
	s := &story{opts: o, state: st, out: out, errs: errs}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.audit, err = newRecorder(st.auditLog("company"), o.n > 0); err != nil {
		return nil, err
	}
	s.walker = walker{who: "company", audit: s.audit}
	if s.vault, err = companyVault(ctx, st, s.audit); err != nil {
		return nil, err
	}
	if s.users, err = createUserStore(ctx, st.database()); err != nil {
		return nil, err
	}
	scopes := make(map[purpose.Purpose]*vault.Scope)
	err = s.walker.walk(ctx, "make keys, open scopes", allow, func(ctx context.Context, r *road) error {
		if err := r.decided(2, makeKeys(ctx, st, s.audit)); err != nil {
			return err
		}
		for _, p := range []purpose.Purpose{purposes.Security, purposes.Advertising} {
			var err error
			if scopes[p], err = s.vault.Scope(ctx, p); r.decided(1, err) != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.sms = &fakeGateway{}
	s.signUp = newSignUp(scopes[purposes.Security], scopes[purposes.Advertising])
	s.signIn = &signIn{scopes[purposes.Security], s.users, s.sms}
	s.team = &adTeam{scope: scopes[purposes.Advertising], state: st, audit: s.audit, list: o.listSource(), tries: o.tries, log: errs}
	return s, nil
}

func (s *story) close() {
	if s.users != nil {
		s.users.db.Close()
	}
	if s.vault != nil {
		s.vault.Close()
	}
	if s.audit != nil {
		s.audit.close()
	}
}

// tell runs the story from sign-up to the table.
func (s *story) tell(ctx context.Context) error {
	for _, chapter := range []func(context.Context) error{
		s.collect, s.visit, s.advertise, s.advertiseApart,
	} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return s.report()
}

// advertise lets the ad team take its roads in this process. The process also holds
// security's scope, but does not give it to the team.
func (s *story) advertise(ctx context.Context) error {
	w := walker{who: "ad team", audit: s.audit}
	if err := s.team.work(ctx, &w); err != nil {
		return err
	}
	s.walker.roads = append(s.walker.roads, w.roads...)
	return nil
}

// advertiseApart lets the ad team take its roads in a process that holds one KEK.
func (s *story) advertiseApart(ctx context.Context) error {
	roads, err := startAdsProcess(ctx, s.state, s.opts, s.errs)
	if err != nil {
		return err
	}
	s.roads = append(s.walker.roads, roads...)
	for i := range s.roads {
		if s.roads[i].WantConsented {
			s.roads[i].Want = s.expected
		}
	}
	return nil
}

// verdict reports whether every road had the expected result.
func (s *story) verdict() bool {
	for _, r := range s.roads {
		if r.fault() != "" {
			return false
		}
	}
	return len(s.roads) > 0
}
