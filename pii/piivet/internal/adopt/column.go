package adopt

import (
	"reflect"
	"slices"
	"strings"
)

// ColumnOf tells by the column or key that a tag names what a field holds whose
// own name does not say so, such as
//
//	EmailChange string `db:"new_email"`
//
// A field whose name says that it is something else, a hash for one, is that.
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

// derived are words for what is made of an address, in names of fields whose
// column does not have them.
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

// ColumnName returns the name of the column of a field: the one that a tag of a library
// that stores it gives, or else the name of the field in small letters, with underscores.
func ColumnName(name, tag string) string {
	for _, library := range storage {
		if c := column(library, reflect.StructTag(tag).Get(library)); c != "" && c != "-" {
			return strings.ToLower(c)
		}
	}
	return strings.Join(split(name), "_")
}
