package pii_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"iter"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/vault"
)

var indexRows = []leakRow{
	{"pii.IndexEmail pii.IndexPhone pii.IndexOf pii.IndexesEmail pii.IndexesPhone pii.IndexesOf", func(w *leakWorld) {
		for _, text := range w.mistyped() {
			if !pii.ValidEmail(text) {
				x, err := pii.IndexEmail(ctx, text, w.security)
				w.failed(err, pii.ErrMalformed)
				all, err := pii.IndexesEmail(ctx, text, w.security)
				w.failed(err, pii.ErrMalformed)
				w.shown(x, all)
			}
			if !pii.ValidPhone(text) {
				_, err := pii.IndexPhone(ctx, text, w.security)
				w.failed(err, pii.ErrMalformed)
				_, err = pii.IndexesPhone(ctx, text, w.security)
				w.failed(err, pii.ErrMalformed)
			}
			_, err := pii.IndexOf[taxID](ctx, text, w.security)
			w.failed(err, pii.ErrMalformed)
			_, err = pii.IndexesOf[taxID](ctx, text, w.security)
			w.failed(err, pii.ErrMalformed)
		}
		w.each(func(c context.Context, s *vault.Scope) {
			_, err := pii.IndexEmail(c, w.contact.Address, s)
			w.failed(err)
			_, err = pii.IndexesPhone(c, w.contact.Number, s)
			w.failed(err)
		})
		all, err := pii.IndexesEmail(ctx, w.contact.Address, w.security)
		require.NoError(w, err)
		w.shown(all, w.index)
	}},
	{"pii.SealIndexed pii.SealEmailIndexed pii.SealPhoneIndexed pii.SealOptional pii.SealOptionalEmail pii.SealOptionalPhone pii.OrNobody " +
		"pii.SealOptionalIndexed pii.SealOptionalEmailIndexed pii.SealOptionalPhoneIndexed pii.Sealed.Matches pii.Args", func(w *leakWorld) {
		for _, text := range w.mistyped() {
			if !pii.ValidEmail(text) && strings.TrimSpace(text) != "" {
				e, x, err := pii.SealEmailIndexed(ctx, text, w.security, w.ads)
				w.failed(err, pii.ErrMalformed)
				w.shown(e, x)
				e, err = pii.SealOptionalEmail(ctx, text, w.security)
				w.failed(err, pii.ErrMalformed)
				w.shown(e)
				e, x, err = pii.SealOptionalEmailIndexed(ctx, text, w.security)
				w.failed(err, pii.ErrMalformed)
				w.shown(e, x)
				nobody, err := pii.OrNobody(pii.IndexesEmail(ctx, text, w.security))
				require.NoError(w, err)
				w.shown(nobody, pii.Args(nobody))
				_, err = w.email.Matches(ctx, text, w.ads.For("other"))
				w.failed(err)
			}
			if !pii.ValidPhone(text) && strings.TrimSpace(text) != "" {
				p, x, err := pii.SealPhoneIndexed(ctx, text, w.security)
				w.failed(err, pii.ErrMalformed)
				w.shown(p, x)
				_, err = pii.SealOptionalPhone(ctx, text, w.security)
				w.failed(err, pii.ErrMalformed)
				p, x, err = pii.SealOptionalPhoneIndexed(ctx, text, w.security)
				w.failed(err, pii.ErrMalformed)
				w.shown(p, x)
			}
			if strings.TrimSpace(text) != "" {
				_, _, err := pii.SealIndexed[taxID](ctx, text, w.security)
				w.failed(err, pii.ErrMalformed)
				_, err = pii.SealOptional[taxID](ctx, text, w.security)
				w.failed(err, pii.ErrMalformed)
				_, _, err = pii.SealOptionalIndexed[taxID](ctx, text, w.security)
				w.failed(err, pii.ErrMalformed)
			}
		}
		w.each(func(c context.Context, s *vault.Scope) {
			_, _, err := pii.SealEmailIndexed(c, w.contact.Address, s)
			w.failed(err)
			_, err = pii.SealOptionalPhone(c, w.contact.Number, s)
			w.failed(err)
			_, err = w.email.Matches(c, w.contact.Address, s)
			w.failed(err)
			all, err := pii.OrNobody(pii.IndexesPhone(c, w.contact.Number, s))
			w.failed(err)
			w.shown(all)
		})
		e, x, err := pii.SealEmailIndexed(ctx, w.contact.Address, w.security)
		require.NoError(w, err)
		w.shown(e, x)
	}},
	{"batch.IndexesEmail batch.IndexesPhone batch.IndexesOf", func(w *leakWorld) {
		typed := slices.Values(w.mistyped())
		for _, list := range []iter.Seq2[[]pii.Index, error]{
			batch.IndexesEmail(ctx, typed, w.security), batch.IndexesPhone(ctx, typed, w.security), batch.IndexesOf[taxID](ctx, typed, w.security),
		} {
			for indexes, err := range list {
				w.shown(indexes)
				w.tried(err)
			}
		}
		w.each(func(c context.Context, s *vault.Scope) {
			addresses, numbers := slices.Values([]string{w.contact.Address}), slices.Values([]string{w.contact.Number})
			for indexes, err := range batch.IndexesEmail(c, addresses, s) {
				w.failed(err)
				w.shown(indexes)
			}
			for _, err := range batch.IndexesPhone(c, numbers, s) {
				w.failed(err)
			}
		})
	}},
	{"pii.IndexSet.Add pii.IndexSet.Has pii.IndexSet.Match pii.IndexSet.Len pii.IndexSet.GoString pii.IndexSet.Format pii.IndexSet.LogValue", func(w *leakWorld) {
		var s pii.IndexSet
		require.NoError(w, s.Add(w.index))
		poisoned, err := pii.IndexEmail(ctx, " "+strings.Repeat(w.contact.Address, 2), w.security)
		w.failed(err)
		w.failed(s.Add(w.index, poisoned), pii.ErrPoisoned)
		w.failed((*pii.IndexSet)(nil).Add(w.index), vault.ErrInvalid)
		for _, held := range holders(s) {
			w.shown(held)
		}
		for i, x := range s.Match(slices.Values([]pii.Index{poisoned, w.index})) {
			w.shown(i, x)
		}
		w.shown(s.GoString(), s.LogValue(), s.Has(w.index), s.Len())
	}},
	{"pii.IndexSet.MarshalText pii.IndexSet.MarshalBinary pii.IndexSet.MarshalBSONValue pii.IndexSet.UnmarshalText pii.IndexSet.UnmarshalBinary", func(w *leakWorld) {
		var s pii.IndexSet
		require.NoError(w, s.Add(w.index))
		_, err := s.MarshalText()
		w.failed(err, pii.ErrNoText)
		_, err = s.MarshalBinary()
		w.failed(err, pii.ErrNoText)
		_, _, err = s.MarshalBSONValue()
		w.failed(err, pii.ErrNoText)
		for _, text := range w.texts() {
			w.failed(s.UnmarshalText([]byte(text)), pii.ErrNoText)
			w.failed(s.UnmarshalBinary([]byte(text)), pii.ErrNoText)
		}
		db := sql.OpenDB(&leakDB{})
		w.Cleanup(func() { db.Close() })
		_, err = db.Query("SELECT email FROM users WHERE x = $1", s)
		w.failed(err)
	}},
	{"pii.Index.GoString pii.Index.Format pii.Index.LogValue pii.Index.Equal pii.Index.IsZero pii.Index.GormDataType", func(w *leakWorld) {
		for _, held := range holders(w.index) {
			w.shown(held)
		}
		w.shown(w.index.GoString(), w.index.LogValue(), w.index.Equal(w.index), w.index.IsZero(), w.index.GormDataType())
	}},
	{"pii.Index.MarshalText pii.Index.MarshalBinary pii.Index.MarshalBSONValue pii.Index.Value", func(w *leakWorld) {
		_, err := w.index.MarshalText()
		w.failed(err, pii.ErrNoText)
		_, err = w.index.MarshalBinary()
		w.failed(err, pii.ErrNoText)
		for _, encode := range []func(any) ([]byte, error){
			json.Marshal, xml.Marshal,
			func(v any) ([]byte, error) {
				var b bytes.Buffer
				err := gob.NewEncoder(&b).Encode(v)
				return b.Bytes(), err
			},
		} {
			b, err := encode(indexDocument{w.index})
			w.failed(err, pii.ErrNoText)
			w.encoded(b)
		}
		poisoned, err := pii.IndexEmail(ctx, " "+strings.Repeat(w.contact.Address, 2), w.security)
		w.failed(err)
		_, err = poisoned.Value()
		w.failed(err, pii.ErrPoisoned)
		_, _, err = poisoned.MarshalBSONValue()
		w.failed(err, pii.ErrPoisoned)
		_, _, err = pii.Index{}.MarshalBSONValue()
		w.failed(err, pii.ErrNoIndex)
		db := sql.OpenDB(&leakDB{})
		w.Cleanup(func() { db.Close() })
		_, err = db.Query("SELECT email FROM users WHERE x = $1", poisoned)
		w.failed(err, pii.ErrPoisoned)
	}},
	{"pii.Index.Scan pii.Index.UnmarshalText pii.Index.UnmarshalBinary pii.Index.UnmarshalBSONValue", func(w *leakWorld) {
		w.garbled(func() decodable { return new(pii.Index) }, pii.ErrNoText)
	}},
}
