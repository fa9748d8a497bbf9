package shop

import (
	"context"
	"database/sql"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

type Scopes struct{ Security, Advertising *vault.Scope }

type bag struct{ security, advertising *vault.Scope }

type embeds struct {
	*vault.Scope
	name string
}

type alias = vault.Scope

type promotes struct {
	*alias
	name string
}

type App struct {
	Scope *vault.Scope
	name  string
}

// A component that keeps its scope to itself.
type Service struct {
	db       *sql.DB
	security *vault.Scope
}

var (
	security *vault.Scope                                                                     // want `scope in a package-level variable, where code that was not given it can take it: hand it over when the component is made, and keep it in a field`
	keys     *vault.Vault                                                                     // want `vault in a package-level variable`
	sealer   vault.Sealer                                                                     // want `scope in a package-level variable`
	aliased  *alias                                                                           // want `scope in a package-level variable`
	byName   map[string]*vault.Scope                                                          // want `scope in a package-level variable`
	all      []*vault.Scope                                                                   // want `scope in a package-level variable`
	scopes   Scopes                                                                           // want `scope in a package-level variable`
	private  *bag                                                                             // want `scope in a package-level variable`
	embedded embeds                                                                           // want `scope in a package-level variable`
	shared   atomic.Pointer[vault.Scope]                                                      // want `scope in a package-level variable`
	c                                    = make(chan *vault.Scope)                            // want `scope in a package-level variable`
	hidden   any                         = &bag{}                                             // want `scope in a package-level variable`
	once                                 = sync.OnceValue(func() *vault.Scope { return nil }) // want `scope in a package-level variable`

	_        vault.Sealer = (*vault.Scope)(nil) // only says that it is one
	anything any
	registry = map[string]any{}
	promoted promotes // want `scope in a package-level variable`
	app      App      // want `scope in a package-level variable`
	values   sync.Map
	service  = &Service{}
	opens    func(context.Context, purpose.Purpose) (*vault.Scope, error)
	purposes []purpose.Purpose
	caught   error
)

func stores(s *vault.Scope) {
	anything = s             // want `scope in a package-level variable`
	registry["security"] = s // want `scope in a package-level variable`
	values.Store("scope", s) // want `scope in a package-level variable`
	service.security = s     // want `scope in a package-level variable`
	security = s             // reported where it is declared
	local := map[string]any{}
	local["security"] = s
	var own sync.Map
	own.Store("scope", s)
	values.Store("name", s.Purpose())
	held := &Service{security: s}
	held.security = s
}

// Types that have no end.
type tree[T any] struct {
	Left, Right *tree[T]
	All         map[string]*tree[T]
	Scope       T
}

var names tree[string]

var granted tree[*vault.Scope] // want `scope in a package-level variable`

type key struct{}

type ctx struct {
	context.Context
	scope *vault.Scope // want `scope in a context`
}

// Context is as in web frameworks.
type Context interface{ Set(name string, value any) }

func contexts(ctx context.Context, s *vault.Scope, r *http.Request, v *vault.Vault, e Echo) {
	_ = context.WithValue(ctx, key{}, s)               // want `scope in a context, where code that was not given it can take it`
	_ = context.WithValue(ctx, key{}, any(s.For("1"))) // want `scope in a context`
	_ = context.WithValue(ctx, key{}, Scopes{})        // want `scope in a context`
	_ = context.WithValue(ctx, key{}, &bag{})          // want `scope in a context`
	_ = context.WithValue(r.Context(), key{}, v)       // want `vault in a context`
	e.Context.Set("scope", s)                          // want `scope in a context`
	_ = context.WithValue(ctx, key{}, &Service{})      //
	_ = context.WithValue(ctx, key{}, s.Purpose())     //
	e.Header.Set("scope", s)                           //
	_ = audit.WithCaller(ctx, s.Purpose().String())    //
	var x any = s
	_ = context.WithValue(ctx, key{}, x) // not followed
	//piivet:allow scopeplace one process, one purpose: there is nothing to mix up
	_ = context.WithValue(ctx, key{}, s)
}

type Echo struct {
	Context Context
	Header  header
}

type header struct{}

func (header) Set(name string, value any) {}
