package vault_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var exampleNote = vault.MustKind("memo", "example.Memo")

// What is sealed for one person opens for that person alone.
func ExampleScope_For() {
	ctx := context.Background()
	v, security := exampleVault(ctx)
	defer v.Close()
	sealed, err := vault.Seal(ctx, exampleNote, "text", security.For("user-1"))
	fmt.Println(sealed, err)
	_, err = security.For("user-2").Reveal(ctx, exampleNote, sealed)
	fmt.Println(err)
	// Output:
	// memo(security) <nil>
	// example: revealing memo: not sealed here, or altered since
}

// A page of a thousand people costs one read of the store.
func ExampleScope_Prefetch() {
	ctx := context.Background()
	v, security := exampleVault(ctx)
	defer v.Close()
	fmt.Println(security.Prefetch(ctx, "user-1", "user-2", "user-3"))
	// Output: <nil>
}

// Erasing a person makes all that was sealed for them unreadable, wherever it
// is.
func ExampleVault_Erase() {
	ctx := context.Background()
	v, security := exampleVault(ctx)
	defer v.Close()
	sealed, err := vault.Seal(ctx, exampleNote, "text", security.For("user-1"))
	if err != nil {
		panic(err)
	}
	certificate, err := v.Erase(ctx, "user-1", security.Purpose())
	fmt.Println(len(certificate), err)
	_, err = security.For("user-1").Reveal(ctx, exampleNote, sealed)
	fmt.Println(err)
	// Output:
	// 1 <nil>
	// example: revealing memo: subject is erased
}

// A rotation in full: new key, people's keys, values, and out with the old one. A
// program waits for Key.PrimaryAt, when every process can know the key, and promotes no
// key.
func ExampleAdmin_Rotate() {
	ctx := context.Background()
	v, security := exampleVault(ctx)
	defer v.Close()
	p := security.Purpose()
	sealed, err := vault.Seal(ctx, exampleNote, "text", security)
	if err != nil {
		panic(err)
	}
	fmt.Println(v.Rotate(ctx, p, vault.RoleSeal))
	keys, err := v.Keys(ctx, p)
	if err != nil {
		panic(err)
	}
	for _, k := range keys {
		if !k.PrimaryAt.IsZero() {
			fmt.Println(k.Role, k.Status, v.Promote(ctx, p, k.ID))
		}
	}
	fmt.Println(v.RewrapSubjects(ctx, p, "", nil))
	fmt.Println(sealed.OnPrimaryKey(security))
	if sealed, err = vault.Reseal(ctx, exampleNote, sealed, nil, security); err != nil {
		panic(err)
	}
	for _, k := range keys {
		if k.Role == vault.RoleSeal && k.Status == vault.Primary { // when they were listed
			fmt.Println(v.Retire(ctx, p, k.ID))
			fmt.Println(errors.Is(v.Destroy(ctx, p, k.ID), vault.ErrInvalid)) // not for 30 days
		}
	}
	fmt.Println(security.Reveal(ctx, exampleNote, sealed))
	// Output:
	// <nil>
	// seal active <nil>
	// <nil>
	// false
	// <nil>
	// true
	// text <nil>
}

// A new index key is looked for at once, and indexes new values later. While index columns
// are computed anew, rows are found under all keys.
func ExampleAdmin_Rotate_index() {
	ctx := context.Background()
	v, security := exampleVault(ctx)
	defer v.Close()
	err := v.Rotate(ctx, security.Purpose(), vault.RoleIndex)
	candidates, indexErr := security.Indexes(ctx, exampleNote, "text")
	fmt.Println(err, len(candidates), indexErr)
	index, err := security.Index(ctx, exampleNote, "text")
	fmt.Println(index == candidates[0], err)
	// Output:
	// <nil> 2 <nil>
	// true <nil>
}

// Another KEK takes over; values stay what they are.
func ExampleAdmin_Rewrap() {
	ctx := context.Background()
	before, after := vault.SharedKEK(exampleAEAD()), vault.SharedKEK(exampleAEAD())
	store, security := vault.Memory(), purpose.MustParse("security")
	v, err := vault.OpenAdmin(ctx, store, before, nil)
	if err != nil {
		panic(err)
	}
	defer v.Close()
	fmt.Println(v.Generate(ctx, security), v.Rewrap(ctx, after, security))

	// Processes that start while purposes are being moved can do with either.
	other, err := vault.OpenAdmin(ctx, store, vault.EitherKEK(after, before), nil)
	if err != nil {
		panic(err)
	}
	defer other.Close()
	_, err = other.Scope(ctx, security)
	fmt.Println(err)
	// Output:
	// <nil> <nil>
	// <nil>
}

// A pin that is kept elsewhere makes an older key store refuse to open.
func ExampleAdmin_Pin() {
	ctx := context.Background()
	kek, security := vault.SharedKEK(exampleAEAD()), purpose.MustParse("security")
	store, backup := vault.Memory(), vault.Memory()
	v, err := vault.OpenAdmin(ctx, store, kek, nil)
	if err != nil {
		panic(err)
	}
	defer v.Close()
	fmt.Println(v.Generate(ctx, security))
	for name := range store.List(ctx, "", "") {
		records, err := store.Get(ctx, name)
		if err != nil {
			panic(err)
		}
		if _, err := backup.Put(ctx, vault.Record{Name: name, Data: records[0].Data}); err != nil {
			panic(err)
		}
	}
	fmt.Println(v.Rotate(ctx, security, vault.RoleSeal))
	pin, err := v.Pin(ctx, security)
	fmt.Println(pin.Purpose(), err)

	old, err := vault.OpenAdmin(ctx, backup, kek, &vault.Options{Pin: vault.FixedPins(pin)})
	if err != nil {
		panic(err)
	}
	defer old.Close()
	_, err = old.Scope(ctx, security)
	fmt.Println(err)
	// Output:
	// <nil>
	// <nil>
	// security <nil>
	// vault: opening keys of security: key store is older than its pin, or came from an older one: not sealed here, or altered since
}
