package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// example returns a vault with keys for security, in memory.
func example(ctx context.Context) (*vault.Admin, *vault.Scope) {
	p := purpose.MustParse("security")
	v, err := vault.OpenAdmin(ctx, vault.Memory(), exampleKEK(), nil)
	if err != nil {
		panic(err)
	}
	if err := v.Generate(ctx, p); err != nil {
		panic(err)
	}
	security, err := v.Scope(ctx, p)
	if err != nil {
		panic(err)
	}
	return v, security
}

// One bad row costs nobody else their result.
func ExampleMap() {
	ctx := context.Background()
	v, security := example(ctx)
	defer v.Close()

	typed := []string{"ada@example.com", "not an address", "grace@example.org"}
	seal := func(ctx context.Context, address string) (pii.Email, error) {
		return pii.SealEmail(ctx, address, security)
	}
	row := 0
	for email, err := range batch.Map(ctx, slices.Values(typed), seal) {
		row++
		if errors.Is(err, pii.ErrMalformed) {
			fmt.Println("row", row, "is no address")
			continue
		}
		fmt.Println("row", row, email)
	}
	// Output:
	// row 1 pii.Email(security)
	// row 2 is no address
	// row 3 pii.Email(security)
}

// Each row under its own person's key, the keys fetched in one read.
func ExampleMap_subjects() {
	ctx := context.Background()
	v, security := example(ctx)
	defer v.Close()

	type row struct{ id, address string }
	rows := []row{{"user-1", "ada@example.com"}, {"user-2", "grace@example.org"}}
	ids := []string{"user-1", "user-2"}
	if err := security.Prefetch(ctx, ids...); err != nil {
		panic(err)
	}
	sealRow := func(ctx context.Context, r row) (pii.Email, error) {
		return pii.SealEmail(ctx, r.address, security.For(r.id))
	}
	var sealed []pii.Email
	for email, err := range batch.Map(ctx, slices.Values(rows), sealRow) {
		if err != nil {
			panic(err)
		}
		sealed = append(sealed, email)
	}
	address, err := sealed[1].Reveal(ctx, security.For("user-2"))
	fmt.Println(address, err)
	// Output: grace@example.org <nil>
}

// A front end without keys seals a file that was uploaded: with one
// encapsulation for all of it. A back end takes the values in.
func ExampleMap_collector() {
	ctx := context.Background()
	v, security := example(ctx)
	defer v.Close()
	collector, err := v.Collector(ctx, security.Purpose())
	if err != nil {
		panic(err)
	}

	upload, err := collector.Batch()
	if err != nil {
		panic(err)
	}
	collect := func(ctx context.Context, address string) (pii.Email, error) {
		return pii.SealEmail(ctx, address, upload)
	}
	var queue []pii.Email
	for email, err := range batch.Map(ctx, slices.Values([]string{"ada@example.com", "grace@example.org"}), collect) {
		if err != nil {
			panic(err)
		}
		queue = append(queue, email)
	}

	takeIn := func(ctx context.Context, email pii.Email) (pii.Email, error) {
		return email.Reseal(ctx, security)
	}
	for email, err := range batch.Map(ctx, slices.Values(queue), takeIn) {
		fmt.Println(email, email.OnPrimaryKey(security), err)
	}
	// Output:
	// pii.Email(security) true <nil>
	// pii.Email(security) true <nil>
}

// A list is matched with the users in memory. It may have entries that are no addresses.
func ExampleIndexesEmail() {
	ctx := context.Background()
	v, security := example(ctx)
	defer v.Close()
	var users pii.IndexSet
	for _, address := range []string{"ada@example.com", "grace@example.org"} {
		index, err := pii.IndexEmail(ctx, address, security) // or scanned from a column
		if err != nil {
			panic(err)
		}
		if err := users.Add(index); err != nil {
			panic(err)
		}
	}

	list := []string{"Grace@Example.org", "not an address", "alan@example.net"}
	entry := 0
	for wanted, err := range batch.IndexesEmail(ctx, slices.Values(list), security) {
		entry++
		switch {
		case errors.Is(err, pii.ErrMalformed):
			fmt.Println("entry", entry, "is no address")
		case err != nil:
			panic(err)
		case users.Has(wanted...): // of two indexes while the index key rotates
			fmt.Println("entry", entry, "is a user")
		}
	}
	// Output:
	// entry 1 is a user
	// entry 2 is no address
}
