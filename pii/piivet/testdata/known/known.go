// Package known has a call of every sort; the comments say what is made of it.
package known

import (
	"context"

	"example.com/purposes"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

type address = pii.Email

type user struct {
	address
	phone *pii.Phone
}

type holder struct{ *vault.Scope }

func calls(ctx context.Context, v *vault.Admin, u user, h holder) {
	s, _ := v.Scope(ctx, purposes.Security) // want `Open recv=v purposes=purposes.Security`
	narrow := s.Under(purpose.Basis{})      // want `Narrow recv=s scopes=s`
	narrow = h.For("1")                     // want `Narrow recv=h path=Scope scopes=h`
	_ = v.Generate(ctx)                     // want `Manage recv=v`
	p, _ := purpose.Parse("x")              // want `Parse text="x"`
	_ = s.Purpose()                         // want `Of recv=s scopes=s`
	_ = u.Without(p)                        // want `Without recv=u path=address value=u purposes=p`

	_, _ = pii.SealEmail(ctx, "a@b.example", s, narrow)                    // want `Seal text="a@b.example" scopes=s,narrow`
	_, _ = pii.SealPhone(ctx, "1", []vault.Sealer{s}...)                   // want `Seal text="1" scopes=.*spread`
	_, _, _ = pii.SealEmailIndexed(ctx, "a@b.example", s, narrow)          // want `Seal text="a@b.example" scopes=s,narrow`
	_, _ = pii.SealOptionalPhone(ctx, "1", s)                              // want `Seal text="1" scopes=s`
	_, _, _ = pii.SealOptionalEmailIndexed(ctx, "a@b.example", s, narrow)  // want `Seal text="a@b.example" scopes=s,narrow`
	_, _ = u.Matches(ctx, "a@b.example", s)                                // want `Index recv=u path=address.sealedEmail value=u text="a@b.example" scopes=s`
	_, _ = pii.OrNobody(pii.IndexesEmail(ctx, "a@b.example", s))           // want `Index text="a@b.example" scopes=s`
	_, _ = pii.IndexEmail(ctx, "a@b.example", s)                           // want `Index text="a@b.example" scopes=s`
	_, _ = u.Reveal(ctx, s)                                                // want `Reveal recv=u path=address.sealedEmail value=u scopes=s`
	_, _ = u.phone.Hint(ctx, s)                                            // want `Hint recv=u.phone path=sealedPhone value=u.phone scopes=s`
	_, _ = pii.Phone.Reveal(*u.phone, ctx, s)                              // want `Reveal recv=\*u.phone path=sealedPhone value=\*u.phone scopes=s`
	_, _ = (*vault.Scope).Index(s, ctx, vault.Kind{}, "")                  // want `Index recv=s text="" scopes=s`
	_, _ = u.address.Extend(ctx, s, narrow)                                // want `Extend recv=u.address value=u.address scopes=s,narrow`
	_, _ = vault.Extend(ctx, vault.Kind{}, vault.Sealed{}, nil, s, narrow) // want `Extend value=vault.Sealed{} scopes=s,narrow`
	_ = u.address.Purposes()                                               // want `Describe`

	f := u.Reveal // a method value is no call
	_, _ = f(ctx, s)
	_ = pii.ValidEmail("")
}

func generic[K pii.Kind](ctx context.Context, v pii.Sealed[K], s *vault.Scope) {
	_, _ = v.Reveal(ctx, s)            // want `Reveal recv=v value=v scopes=s`
	_, _ = pii.Seal[K](ctx, "text", s) // want `Seal text="text" scopes=s`
}
