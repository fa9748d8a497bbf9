package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/onlyfor/onlyfor/examples/adtargeting/purposes"
)

// visit lets people sign in and get a code.
func (s *story) visit(ctx context.Context) error {
	users := make([]user, 0, len(s.visitors))
	err := s.walker.walk(ctx, "sign in: find by e-mail", allow, func(ctx context.Context, r *road) error {
		r.Want = int64(len(s.visitors))
		for i, p := range s.visitors {
			u, err := s.signIn.find(ctx, typedAgain(i, p.email), &r.answers)
			if errors.Is(err, errNoUser) {
				continue // the table shows the difference
			}
			if err != nil {
				return err
			}
			r.Matched++
			users = append(users, u)
		}
		return nil
	})
	if err != nil || len(users) < len(s.visitors) {
		return err
	}
	err = s.walker.walk(ctx, "sign in: send a code", allow, func(ctx context.Context, r *road) error {
		r.Want = int64(len(users))
		for i, u := range users {
			if err := s.signIn.sendCode(ctx, u, &r.answers); err != nil {
				return err
			}
			if s.sms.last == normalPhone(s.visitors[i].phone) {
				r.Matched++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.walker.walk(ctx, "sign in: show a hint", allow, func(ctx context.Context, r *road) error {
		for i, u := range users {
			hint, err := s.signIn.hint(ctx, u, &r.answers)
			if err != nil {
				return err
			}
			if i < 3 {
				basis, _ := u.phone.Provenance(purposes.Security)
				fmt.Fprintf(s.out, "We sent a code to %s (collected under notice %s).\n", hint, basis.Notice)
			}
		}
		return nil
	})
}

// typedAgain returns the address in the spelling of another keyboard.
func typedAgain(i int, email string) string {
	if upper := asciiUpper(email); i%3 == 0 && upper != "" {
		return upper
	}
	return email
}

// A fakeGateway sends nothing, and remembers the number of the last message.
type fakeGateway struct {
	last string
}

func (g *fakeGateway) send(_ context.Context, number, _ string) error {
	g.last = number
	return nil
}
