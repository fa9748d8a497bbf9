package adopt

import (
	"reflect"
	"slices"
	"strings"
)

// ColumnOf returns the kind of value that a field holds according to the column or key in
// its tag. It is for fields whose own name does not tell the kind, such as
//
//	EmailChange string `db:"new_email"`
//
// It is false for a field whose name has a word for another thing, such as "hash".
func ColumnOf(name, tag string) (kind Kind, ok bool) {
	for _, word := range split(name) {
		if slices.Contains(others, word) || slices.Contains(derived, word) {
			return "", false
		}
	}
	for _, library := range slices.Concat(storage, wire) {
		if kind, ok = NameOf(column(library, reflect.StructTag(tag).Get(library))); ok {
			return kind, true
		}
	}
	return "", false
}

// derived are words in the names of fields that hold a value computed from an address,
// although the column does not have the word.
var derived = []string{"index", "digest", "id", "domain", "at", "count", "key", "sha256", "cipher", "ciphertext", "status"}

// column returns the name of the column in the tag of a library, "" if there is
// none.
func column(library, value string) string {
	switch library {
	case "gorm":
		for part := range strings.SplitSeq(value, ";") {
			if key, name, ok := strings.Cut(part, ":"); ok && strings.EqualFold(strings.TrimSpace(key), "column") {
				return strings.TrimSpace(name)
			}
		}
		return ""
	case "xorm":
		_, rest, _ := strings.Cut(value, "'") // xorm:"varchar(25) 'new_email'"
		name, _, ok := strings.Cut(rest, "'")
		if !ok {
			return ""
		}
		return name
	}
	name, _, _ := strings.Cut(value, ",")
	return name
}

// ColumnName returns the name of a field's column. It is the name in the tag of a storage
// library, or else the name of the field in lower case with underscores.
func ColumnName(name, tag string) string {
	for _, library := range storage {
		if c := column(library, reflect.StructTag(tag).Get(library)); c != "" && c != "-" {
			return strings.ToLower(c)
		}
	}
	return strings.Join(split(name), "_")
}
