package search

import (
	"fmt"
	"strings"

	"github.com/ganigeorgiev/fexpr"
	"github.com/pocketbase/dbx"
)

// buildSealedExpr compares a sealed column with text by the column's index. A search within the text of a sealed column
// is a search for the whole text, and an order is refused.
func buildSealedExpr(left *ResolverResult, op fexpr.SignOp, right *ResolverResult) (dbx.Expression, error) {
	l, r := *left, *right
	l.Indexes, r.Indexes = nil, nil
	sealed, other, indexes := &l, &r, left.Indexes
	if indexes == nil {
		sealed, other, indexes = &r, &l, right.Indexes
	}
	if left.Indexes != nil && right.Indexes != nil {
		useIndexColumn(sealed)
		useIndexColumn(other)
		return buildResolversExpr(&l, op, &r)
	}
	var name, text string
	for k, v := range other.Params {
		name = k
		text, _ = v.(string)
	}
	if text == "" || len(other.Params) != 1 {
		return buildResolversExpr(&l, op, &r) // whether there is an address
	}
	join := dbx.Or
	switch op {
	case fexpr.SignEq, fexpr.SignAnyEq:
	case fexpr.SignLike:
		op = fexpr.SignEq
	case fexpr.SignAnyLike:
		op = fexpr.SignAnyEq
	case fexpr.SignNeq, fexpr.SignAnyNeq:
		join = dbx.And
	case fexpr.SignNlike:
		op, join = fexpr.SignNeq, dbx.And
	case fexpr.SignAnyNlike:
		op, join = fexpr.SignAnyNeq, dbx.And
	default:
		return nil, fmt.Errorf("%q does not work on a sealed field", op)
	}
	wanted, err := indexes(text)
	if err != nil {
		return nil, err
	}
	useIndexColumn(sealed)
	exprs := make([]dbx.Expression, len(wanted))
	for i, index := range wanted {
		placeholder := fmt.Sprintf("%s_%d", name, i)
		other.Identifier, other.Params = "{:"+placeholder+"}", dbx.Params{placeholder: index}
		if exprs[i], err = buildResolversExpr(&l, op, &r); err != nil {
			return nil, err
		}
	}
	return dbx.Enclose(join(exprs...)), nil
}

// useIndexColumn replaces the column of a sealed value by the column of its index.
func useIndexColumn(result *ResolverResult) {
	result.Identifier = indexColumn(result.Identifier)
	if m := result.MultiMatchSubQuery; m != nil {
		indexed := *m
		indexed.ValueIdentifier = indexColumn(m.ValueIdentifier)
		result.MultiMatchSubQuery = &indexed
	}
}

// indexColumn takes [[table.name]], or LOWER of it: an index is the same for all letters.
func indexColumn(identifier string) string {
	identifier = strings.TrimSuffix(strings.TrimPrefix(identifier, "LOWER("), ")")
	return strings.TrimSuffix(identifier, "]]") + "_index]]"
}
