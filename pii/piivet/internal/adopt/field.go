package adopt

import (
	"go/types"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// A Field is a struct field that looks like personal data in plain text. It is made for
// JSON.
type Field struct {
	// Package is the import path, Struct the name of the struct, Name the name of the
	// field.
	Package string `json:"package"`
	Struct  string `json:"struct"`
	Name    string `json:"name"`
	// Type is the present type of the field, Wrap the sealed type to replace it with.
	Type string `json:"type"`
	Wrap string `json:"wrap"`
	Kind Kind   `json:"kind"`
	// Stored are the keys of storage libraries in the tag, such as "db". Wire are the
	// keys of encoders, such as "json".
	Stored []string `json:"stored,omitempty"`
	Wire   []string `json:"wire,omitempty"`
	// Column is the name of its column.
	Column string `json:"column,omitempty"`
	// Looked says that people are looked up by the field: a tag or the schema asks for
	// an index or a unique column, or a query compares the column.
	Looked bool `json:"looked_up,omitempty"`
	// Inside says that the field is a map or JSON that may contain personal data.
	Inside bool `json:"look_inside,omitempty"`
	// Use is the use of the field that tells its kind if its name does not, such as
	// "email is assigned to it", or "".
	Use string `json:"use,omitempty"`
	// From is the expression that the database computes the column from, or "".
	From string `json:"generated_from,omitempty"`
	// Generated says that the file is written by a tool.
	Generated bool   `json:"generated,omitempty"`
	At        string `json:"at"`
}

// storage are the tag keys of libraries that store structs, wire the tag keys of
// encoders.
var (
	storage = []string{"db", "gorm", "sql", "bson", "bun", "pg", "xorm", "ent", "boil", "dynamodbav", "dynamo", "datastore", "firestore", "spanner", "cql", "gocql", "ch", "reform", "meddler", "storm", "rethinkdb", "gorethink", "badgerhold", "parquet"}
	wire    = []string{"json", "xml", "yaml", "form", "schema", "query", "uri", "param", "url", "msgpack", "cbor", "avro", "csv", "protobuf", "thrift", "ldap", "mapstructure"}
)

// Tags returns the keys of storage libraries and of encoders in a field's tag. A key
// whose value leaves the field out, as json:"-" does, is not returned.
func Tags(tag string) (stored, sent []string) {
	for _, list := range []struct {
		names []string
		to    *[]string
	}{{storage, &stored}, {wire, &sent}} {
		for _, name := range list.names {
			if value, ok := reflect.StructTag(tag).Lookup(name); ok && value != "-" && !strings.HasPrefix(value, "-,") && !strings.HasPrefix(value, "-;") {
				*list.to = append(*list.to, name)
			}
		}
	}
	return stored, sent
}

// LookedUp reports whether a tag asks the database for an index.
func LookedUp(tag string) bool {
	for _, name := range storage {
		value := strings.ToLower(reflect.StructTag(tag).Get(name))
		for _, word := range strings.FieldsFunc(value, func(r rune) bool { return !wordRune(r) }) {
			if strings.HasPrefix(word, "unique") || strings.HasPrefix(word, "index") || word == "pk" || word == "primarykey" {
				return true
			}
		}
	}
	return false
}

func wordRune(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' }

// texts are types for a string that may be null.
var texts = []string{
	"database/sql.NullString", "gopkg.in/guregu/null.String", "gopkg.in/volatiletech/null.String", "github.com/guregu/null.String", "github.com/volatiletech/null.String", "github.com/aarondl/null.String",
	"github.com/jackc/pgtype.Text", "github.com/jackc/pgtype.Varchar", "github.com/jackc/pgx/v5/pgtype.Text",
}

// Plain reports whether a type is plain text: a string type, a pointer to one, a slice of
// them, or a type of a database library for a string that may be null. It returns the
// sealed type to replace it with, for values of kind k.
func Plain(t types.Type, k Kind) (wrap string, ok bool) {
	t = types.Unalias(t)
	if named, isNamed := t.(*types.Named); isNamed && named.Obj().Pkg() != nil {
		name := named.Obj().Pkg().Path() + "." + named.Obj().Name()
		if named.TypeArgs().Len() == 1 && name == "database/sql.Null" {
			return Plain(named.TypeArgs().At(0), k)
		}
		if slices.ContainsFunc(texts, func(known string) bool { return known == withoutVersion(name) || known == name }) {
			return k.Type(), true
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return k.Type(), u.Kind() == types.String
	case *types.Pointer:
		if _, isSlice := u.Elem().Underlying().(*types.Slice); isSlice {
			return "", false
		}
		return Plain(u.Elem(), k) // the zero value says that there is none
	case *types.Slice:
		wrap, ok = Plain(u.Elem(), k)
		return "[]" + wrap, ok && !strings.HasPrefix(wrap, "[]")
	}
	return "", false
}

// withoutVersion takes ".v4" and "/v4" out of a path.
func withoutVersion(name string) string {
	dot := strings.LastIndexByte(name, '.')
	path, typ := name[:dot], name[dot:]
	for _, sep := range []string{"/v", ".v"} {
		if i := strings.LastIndex(path, sep); i > 0 && strings.Trim(path[i+2:], "0123456789") == "" && path[i+2:] != "" {
			path = path[:i]
		}
	}
	return path + typ
}

// jsons are types of libraries for a column of JSON.
var jsons = []string{
	"encoding/json.RawMessage", "gorm.io/datatypes.JSON", "gorm.io/datatypes.JSONMap", "gorm.io/datatypes.JSONType", "gorm.io/datatypes.JSONSlice",
	"github.com/jmoiron/sqlx/types.JSONText", "github.com/jmoiron/sqlx/types.NullJSONText", "github.com/jackc/pgtype.JSON", "github.com/jackc/pgtype.JSONB",
	"github.com/volatiletech/null.JSON", "github.com/aarondl/null.JSON", "github.com/sqlc-dev/pqtype.NullRawMessage",
}

var jsonTag = regexp.MustCompile(`(?i)\btype:\s*jsonb?\b|\bserializer:\s*json\b|\bjsonb?\b`)

// Inside reports whether a stored field of type t holds JSON, or a map of anything, so
// that personal data may be in it.
func Inside(t types.Type, tag string) bool {
	for _, library := range []string{"gorm", "bun", "xorm", "pg"} {
		if jsonTag.MatchString(reflect.StructTag(tag).Get(library)) {
			return true
		}
	}
	t = types.Unalias(t)
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	if named, ok := t.(*types.Named); ok && named.Obj().Pkg() != nil {
		name := named.Obj().Pkg().Path() + "." + named.Obj().Name()
		if slices.Contains(jsons, name) || slices.Contains(jsons, withoutVersion(name)) {
			return true
		}
		if upper := strings.ToUpper(named.Obj().Name()); strings.HasPrefix(upper, "JSON") || strings.HasSuffix(upper, "JSON") || strings.HasSuffix(upper, "JSONB") {
			return true
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Interface:
		return u.Empty()
	case *types.Map:
		return textual(u.Key()) && Holds(u.Elem())
	case *types.Slice:
		_, isMap := u.Elem().Underlying().(*types.Map)
		return isMap && Inside(u.Elem(), "")
	}
	return false
}

// Holds reports whether an element of a map can be an address or number: a string, an
// empty interface, or a list of these.
func Holds(t types.Type) bool {
	switch u := types.Unalias(t).Underlying().(type) {
	case *types.Interface:
		return u.Empty()
	case *types.Pointer:
		return Holds(u.Elem())
	case *types.Slice:
		return Holds(u.Elem()) || types.Identical(u.Elem(), types.Typ[types.Byte])
	case *types.Basic:
		return u.Info()&types.IsString != 0
	}
	return false
}

func textual(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsString != 0
}
