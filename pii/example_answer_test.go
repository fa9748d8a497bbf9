package pii_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

type account struct {
	ID    string
	Email pii.Email
	Phone pii.Phone // zero if the person gave none
}

// An accountAnswer is the JSON that a person gets about herself. Its fields are strings, and
// it is made where the scope is: newAccountAnswer is the one place to review.
type accountAnswer struct {
	ID    string `json:"id"`
	Email string `json:"email"`           // plaintext, for the person herself
	Phone string `json:"phone,omitempty"` // a hint
}

func newAccountAnswer(ctx context.Context, a account, own *vault.Scope) (answer accountAnswer, err error) {
	answer.ID = a.ID
	if answer.Email, err = a.Email.Reveal(ctx, own); err != nil {
		return accountAnswer{}, err
	}
	if !a.Phone.IsZero() {
		if answer.Phone, err = a.Phone.Hint(ctx, own); err != nil {
			return accountAnswer{}, err
		}
	}
	return answer, nil
}

// A model in an answer gives clients sealed text. An answer is a type of its own, which is
// revealed into, field by field.
func Example_answer() {
	a := account{ID: "u1"}
	own := security.For(a.ID)
	var err error
	a.Email, err = pii.SealEmail(ctx, "alice@example.com", own)
	must(err)
	a.Phone, err = pii.SealPhone(ctx, "+1 415 555 2671", own)
	must(err)

	answer, err := newAccountAnswer(ctx, a, own)
	must(err)
	text, err := json.Marshal(answer)
	must(err)
	fmt.Println(string(text))
	_, err = newAccountAnswer(ctx, a, advertising)
	fmt.Println(err)
	// Output:
	// {"id":"u1","email":"alice@example.com","phone":"+1 ••• ••• ••71"}
	// pii: revealing email: collected for security, not advertising
}

// How many values were collected for a purpose, under which notice and in which year, can be
// counted without a key. The answer is as good as the table: a value whose header somebody
// forged no longer opens, and is counted all the same.
func Example_countByNotice() {
	type batch struct {
		notice string
		year   int
		stated bool
	}
	old := security.Under(purpose.Basis{Notice: "sign-up-v1", Collected: time.Date(2019, 5, 1, 0, 0, 0, 0, time.UTC)})
	later := security.Under(purpose.Basis{Notice: "sign-up-v2", Collected: time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC)})
	var column []pii.Email // as it is scanned from the table; the last one is of another purpose
	for _, s := range []*vault.Scope{old, later, old, billing} {
		email, err := pii.SealEmail(ctx, "alice@example.com", s)
		must(err)
		column = append(column, email)
	}

	counts := map[batch]int{}
	for _, email := range column {
		if p, ok := email.Provenance(security.Purpose()); ok {
			counts[batch{p.Notice, p.Collected.Year(), p.Stated}]++
		}
	}
	for _, b := range slices.SortedFunc(maps.Keys(counts), func(a, b batch) int {
		return cmp.Or(cmp.Compare(a.year, b.year), cmp.Compare(a.notice, b.notice))
	}) {
		fmt.Printf("%d %s: %d, time stated: %t\n", b.year, b.notice, counts[b], b.stated)
	}
	// Output:
	// 2019 sign-up-v1: 2, time stated: true
	// 2024 sign-up-v2: 1, time stated: true
}
