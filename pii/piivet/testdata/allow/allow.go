// Package allow has directives that allow something, and others.
package allow

import (
	"context"
	"log"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

func f(ctx context.Context, e pii.Email, s *vault.Scope) {
	a, _ := e.Reveal(ctx, s)
	log.Print(a) //piivet:allow leak the reason

	//piivet:allow leak the reason
	log.Print(a)

	//piivet:allow leak the reason
	//piivet:allow hash nothing is hashed here // want `directive allows nothing: rule hash has no finding here`
	log.Print(a)

	//piivet:allow leak the statement begins below, and the finding is further down
	log.Print(
		"a",
		func() string { return "b" }(), a)

	log.Print(a) //piivet:allow leak // want `directive without a reason allows nothing: write //piivet:allow leak and why it is right here`
	log.Print(a) //piivet:allow // want `directive without a rule`
	log.Print(a) //piivet:allow leek the reason // want `unknown rule "leek": piivet has adopt, hash, leak`
	log.Print(a) // piivet:allow leak the reason // want `not a directive: write //piivet:allow without blanks before it`
	log.Print(a) //piivet:alow leak the reason // want `unknown directive`
	//piivet:allow leak too far away // want `directive allows nothing`

	log.Print(a)
	//piivet:allow adopt another mode of the command looks for it
	log.Print("a") //piivet:allow leak nothing leaks here // want `directive allows nothing`

	//piivet:allow leak the directive is about the statement, not about the block in it // want `directive allows nothing`
	if a != "" {
		log.Print(a)
	}
	//piivet:allow leak the finding is in the head of the statement
	if log.Print(a); a != "" {
		log.Print("a")
	}
}

// whole is allowed to do what it does.
//
//piivet:allow leak all of it writes to the person's own terminal
func whole(ctx context.Context, e pii.Email, s *vault.Scope) {
	a, _ := e.Reveal(ctx, s)
	log.Print(a)
	func() { log.Print(a) }()
}

// This comment speaks of piivet:allow, as prose does, and shows it:
//
//	//piivet:allow leak the reason
//
//piivet:purpose security
var _ = 0
