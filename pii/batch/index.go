package batch

import (
	"context"
	"iter"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// IndexesEmail is [pii.IndexesEmail] for a list of addresses, by [Map]. For each address it
// yields the index under every index key of the purpose that is not retired, the index of the
// primary key first: one index, and a second while the index key rotates.
//
//	for wanted, err := range batch.IndexesEmail(ctx, slices.Values(list), advertising) {
//		if errors.Is(err, pii.ErrMalformed) {
//			continue // an entry that is no address
//		}
//		if err != nil {
//			return err
//		}
//		if users.Has(wanted...) { // a pii.IndexSet, or a query with the indexes of many entries
//			…
//		}
//	}
//
// An address that fails yields one poisoned index and the error of [pii.IndexesEmail], and
// the others yield their indexes. An entry that Map did not come to, because ctx was done,
// yields no index and [vault.ErrUnavailable].
//
// A nil list is an empty one. A nil scope is [vault.ErrInvalid] for each address.
func IndexesEmail(ctx context.Context, addresses iter.Seq[string], scope vault.Indexer) iter.Seq2[[]pii.Index, error] {
	return indexes(ctx, addresses, scope, pii.IndexesEmail)
}

// IndexesPhone is [pii.IndexesPhone] for a list of phone numbers, as [IndexesEmail]
// describes.
func IndexesPhone(ctx context.Context, numbers iter.Seq[string], scope vault.Indexer) iter.Seq2[[]pii.Index, error] {
	return indexes(ctx, numbers, scope, pii.IndexesPhone)
}

// IndexesOf is [pii.IndexesOf] for a list of texts of kind K, as [IndexesEmail] describes.
func IndexesOf[K pii.Kind](ctx context.Context, texts iter.Seq[string], scope vault.Indexer) iter.Seq2[[]pii.Index, error] {
	return indexes(ctx, texts, scope, pii.IndexesOf[K])
}

func indexes(ctx context.Context, texts iter.Seq[string], scope vault.Indexer,
	of func(context.Context, string, vault.Indexer) ([]pii.Index, error)) iter.Seq2[[]pii.Index, error] {
	if texts == nil {
		texts = func(func(string) bool) {}
	}
	return Map(ctx, texts, func(ctx context.Context, text string) ([]pii.Index, error) {
		return of(ctx, text, scope)
	})
}
