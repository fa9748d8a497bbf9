package adopt

import (
	"encoding/json"
	"errors"
	"go/types"
	"reflect"
	"slices"
	"strings"
)

// A Field is one that looks like personal data in plain text. It is made for
// JSON.
type Field struct {
	// Package and Struct say where it is, Name what it is called.
	Package string `json:"package"`
	Struct  string `json:"struct"`
	Name    string `json:"name"`
	// Type is its type now, Wrap the one to give it.
	Type string `json:"type"`
	Wrap string `json:"wrap"`
	Kind Kind   `json:"kind"`
	// Stored are the tags by which it goes into a database, Wire those of
	// encoders, such as `db` and `json`.
	Stored []string `json:"stored,omitempty"`
	Wire   []string `json:"wire,omitempty"`
	// Looked says that a tag asks for an index or a unique column, so that
	// people are looked up by the field.
	Looked bool `json:"looked_up,omitempty"`
	// Generated says that the file is written by a tool.
	Generated bool   `json:"generated,omitempty"`
	At        string `json:"at"`
}

// Parse reads what a diagnostic says.
func Parse(message string) (Field, error) {
	var f Field
	if err := json.Unmarshal([]byte(message), &f); err != nil || f.Name == "" {
		return Field{}, errors.New("not a field")
	}
	return f, nil
}

// Tags of libraries that store fields, and of those that send them.
var (
	storage = []string{"db", "gorm", "sql", "bson", "bun", "pg", "xorm", "ent", "boil", "dynamodbav", "dynamo", "datastore", "firestore", "spanner", "cql", "gocql", "ch", "reform", "meddler", "storm", "rethinkdb", "gorethink", "badgerhold", "parquet"}
	wire    = []string{"json", "xml", "yaml", "form", "schema", "query", "uri", "param", "url", "msgpack", "cbor", "avro", "csv", "protobuf", "thrift", "ldap", "mapstructure"}
)

// Tags returns by which of its tags a field is stored, and by which it is sent.
// One that a tag leaves out, as json:"-" does, is not.
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

// texts are types that hold a string and perhaps its absence.
var texts = []string{
	"database/sql.NullString", "gopkg.in/guregu/null.String", "github.com/guregu/null.String", "github.com/volatiletech/null.String", "github.com/aarondl/null.String",
	"github.com/jackc/pgtype.Text", "github.com/jackc/pgtype.Varchar", "github.com/jackc/pgx/v5/pgtype.Text",
}

// Plain reports whether a type is plain text: a string, a named one, a pointer
// to one, a slice of them, or a type of a database library for a string that
// may be absent. It returns the type to give it, for values of kind k.
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
