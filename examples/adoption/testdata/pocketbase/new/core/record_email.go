package core

import (
	"context"
	"database/sql/driver"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/spf13/cast"
)

// FieldNameEmailIndex is the column of auth collections that e-mail addresses are looked up by.
const FieldNameEmailIndex = "email_index"

// A sealedEmail is the address of a saved auth record, bound to the scope of the app that loaded or saved it.
type sealedEmail struct {
	pii.Email           //piivet:allow embed encoders and the JavaScript of hooks shall get the sealed text
	index     pii.Index // zero if the record was loaded
	security  *vault.Scope
}

// sealsEmail reports whether the field is the address of an auth record.
func (f *EmailField) sealsEmail(record *Record) bool {
	return f.Name == FieldNameEmail && record.collection.IsAuth()
}

// FindSetter implements [SetterFinder]. A typed address stays text until the record is saved. Text is never taken
// as a sealed value: somebody could submit the sealed address of another person and have it revealed.
func (f *EmailField) FindSetter(key string) SetterFunc {
	if key != f.Name {
		return nil
	}
	return func(record *Record, raw any) {
		if _, sealed := raw.(sealedEmail); !sealed {
			raw = cast.ToString(raw)
		}
		record.SetRaw(f.Name, raw)
	}
}

// DriverValue implements [DriverValuer]. Text of an address that is not sealed is refused by the column.
func (f *EmailField) DriverValue(record *Record) (driver.Value, error) {
	if v, ok := record.GetRaw(f.Name).(sealedEmail); ok {
		return v.Value()
	}
	return cast.ToString(record.GetRaw(f.Name)), nil
}

// Intercept implements [RecordInterceptor]: it seals a typed address before the record is written.
func (f *EmailField) Intercept(ctx context.Context, app App, record *Record, action string, next func() error) error {
	if f.sealsEmail(record) && (action == InterceptorActionCreateExecute || action == InterceptorActionUpdateExecute) {
		if err := record.SealEmail(ctx, app); err != nil {
			return err
		}
	}
	return next()
}

// SealEmail seals the typed address of an auth record. An address that the record has already stays as it is.
func (m *Record) SealEmail(ctx context.Context, app App) error {
	typed, ok := m.GetRaw(FieldNameEmail).(string)
	if !ok || typed == "" {
		return nil
	}
	if old, ok := m.originalData[FieldNameEmail].(sealedEmail); ok && old.security != nil {
		if address, err := old.Reveal(ctx, old.security); err != nil {
			return err
		} else if address == typed {
			m.SetRaw(FieldNameEmail, old)
			return nil
		}
	}
	var v sealedEmail
	var err error
	v.security = app.Security()
	v.Email, v.index, err = pii.SealEmailIndexed(ctx, typed, v.security.Under(SignUpBasis))
	if err == nil {
		m.SetRaw(FieldNameEmail, v)
	}
	return err
}

// Email returns the sealed e-mail address of an auth record. It is zero if there is none, or it is not saved yet.
func (m *Record) Email() pii.Email {
	v, _ := m.GetRaw(FieldNameEmail).(sealedEmail)
	return v.Email
}

// HasEmail reports whether the record's address is the given one, which is text or the text of a sealed value.
// It is false if a key can't be used.
func (m *Record) HasEmail(ctx context.Context, address string) bool {
	own, ok := m.GetRaw(FieldNameEmail).(sealedEmail)
	if !ok {
		return m.GetString(FieldNameEmail) == address
	}
	if own.security == nil {
		return false
	}
	var sealed pii.Email
	if sealed.UnmarshalText([]byte(address)) == nil && !sealed.IsZero() {
		index, err := own.Index(ctx, own.security)
		other, otherErr := sealed.Index(ctx, own.security)
		return err == nil && otherErr == nil && index.Equal(other)
	}
	matches, err := own.Matches(ctx, address, own.security)
	return err == nil && matches
}

// publicEmail returns the address for an answer to somebody who may see it.
func (m *Record) publicEmail() any {
	v, ok := m.GetRaw(FieldNameEmail).(sealedEmail)
	if !ok || v.security == nil {
		return m.GetRaw(FieldNameEmail)
	}
	if address, err := v.Reveal(context.Background(), v.security); err == nil {
		return address
	}
	return v // the client gets the sealed text, as the audit log tells
}

// bindEmail gives the scope of the app to a record that the app has loaded.
func (m *Record) bindEmail(app *BaseApp) *Record {
	if v, ok := m.originalData[FieldNameEmail].(sealedEmail); ok {
		v.security = app.Security()
		m.originalData[FieldNameEmail] = v
	}
	return m
}

// emailIndexes returns the blind indexes of an address for a condition; no address is nobody's.
func emailIndexes(app App, address string) ([]any, error) {
	indexes, err := pii.OrNobody(pii.IndexesEmail(context.Background(), address, app.Security()))
	return pii.Args(indexes), err
}
