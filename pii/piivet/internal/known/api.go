package known

import (
	"go/types"
	"strings"
)

// This file has all that piivet knows of the library: a row for each exported function,
// method and type. TestEveryExportedNameHasARow demands them.

// functions maps each function and method to its operation. Owners are packages, and
// types for methods.
var functions = []struct {
	owner string
	op    Op
	names string
}{
	{"purpose", Parse, "MustParse Parse"},
	{"purpose", None, "NewSet ValidReference"},
	{"purpose.Basis", None, "Validate"},
	{"purpose.Legal", None, "MarshalText String UnmarshalText"},
	{"purpose.MismatchError", None, "Error Is"},
	{"vault.SuspendedError", None, "Error Is"},
	{"purpose.Purpose", None, "IsZero MarshalText String UnmarshalText"},
	{"purpose.Set", None, "All Contains IsZero Len MarshalText String UnmarshalText"},
	{"vault", Seal, "Seal"},
	{"vault", Extend, "Extend"},
	{"vault", Reseal, "Reseal"},
	{"vault", None, "Dir EitherKEK EnvKEK FixedPins GenerateKEK LocalKEK Memory MustKind Open OpenAdmin ParseCollector ParseSealed SecretKEK SharedKEK TextKEK ValidSubject"},
	{"vault.AEAD", None, "Decrypt Encrypt"},
	{"vault.Admin", Manage, "Destroy Generate Keys Pin Promote Reinstate Retire Rewrap RewrapSubjects Rotate RotateIfOlder Suspend Resume WrappedBy"},
	{"vault.Admin", None, "Format String Vault"},
	{"vault.Collector", Narrow, "Batch Under"},
	{"vault.Collector", Of, "Purpose"},
	{"vault.Collector", None, "Format LogValue MarshalText String"},
	{"vault.ContextAEAD", None, "Decrypt DecryptWithContext Encrypt EncryptWithContext"},
	{"vault.Indexer", Index, "Index Indexes"},
	{"vault.Indexer", Of, "Purpose"},
	{"vault.KEK", None, "For"},
	{"vault.KEKFunc", None, "For"},
	{"vault.KEKs", None, "For Generate"},
	{"vault.KeyGenerator", None, "For Generate"},
	{"vault.KeyNamer", None, "Decrypt Encrypt KeyName"},
	{"vault.Kind", None, "Label Package String"},
	{"vault.Lookup", Index, "Index Indexes"},
	{"vault.Lookup", Of, "Purpose"},
	{"vault.Lookup", None, "Format LogValue String"},
	{"vault.Pin", None, "IsZero MarshalText Purpose String UnmarshalText"},
	{"vault.Reader", Reveal, "Reveal"},
	{"vault.Reader", Hint, "Hint"},
	{"vault.Reader", Narrow, "For To"},
	{"vault.Reader", Of, "Purpose"},
	{"vault.Reader", None, "Format LogValue Prefetch String"},
	{"vault.Revealer", Reveal, "Reveal"},
	{"vault.Revealer", Hint, "Hint"},
	{"vault.Revealer", Of, "Purpose"},
	{"vault.Scope", Reveal, "Reveal"},
	{"vault.Scope", Hint, "Hint"},
	{"vault.Scope", Index, "Index IndexSealed Indexes"},
	{"vault.Scope", Narrow, "For Under"},
	{"vault.Scope", Of, "Purpose"},
	{"vault.Scope", None, "Check Format LogValue Prefetch Pseudonym String"},
	{"vault.Sealed", Without, "Without WithoutExpired Sweep Withdraw"},
	{"vault.Sealed", Describe, "AppendClaims KeyID OnPrimaryKey Provenance Purposes ID"},
	{"vault.Sealed", None, "AppendBinary AppendText ByCollector Format GoString IsZero Kind LogValue MarshalBinary MarshalText UnmarshalBinary UnmarshalText RecordClear"},
	{"vault.Sealer", Of, "Purpose"},
	{"vault.Store", None, "Get List Put"},
	{"vault.BatchReplacer", None, "Get List Put Replace"},
	{"vault.Vault", Open, "Collector Lookup Reader Scope"},
	{"vault.Vault", Manage, "CheckDenied CheckKEK Suspensions"},
	{"vault.Vault", Erase, "Erase"},
	{"vault.Vault", None, "Close EraseAgain Format Purposes Stats Status String"},
	{"pii", Index, "IndexEmail IndexOf IndexPhone IndexesEmail IndexesOf IndexesPhone"},
	{"pii", Seal, "Seal SealEmail SealEmailIndexed SealIndexed SealOptional SealOptionalEmail SealOptionalPhone SealPhone SealPhoneIndexed SealOptionalEmailIndexed SealOptionalIndexed SealOptionalPhoneIndexed"},
	{"pii", None, "OrNobody Valid ValidEmail ValidPhone Args"},
	{"batch", Index, "IndexesEmail IndexesOf IndexesPhone"},
	{"batch", None, "Map"},
	{"pii.Email", Extend, "Extend"},
	{"pii.Email", Reseal, "Reseal"},
	{"pii.Email", Without, "Without WithoutExpired Sweep Withdraw"},
	{"pii.Email", None, "Equal"},
	{"pii.Index", None, "Equal Format GoString GormDataType IsZero LogValue MarshalBSONValue MarshalBinary MarshalText Scan UnmarshalBSONValue UnmarshalBinary UnmarshalText Value"},
	{"pii.IndexSet", None, "Add Format GoString Has Len LogValue MarshalBSONValue MarshalBinary MarshalText Match UnmarshalBinary UnmarshalText"},
	{"pii.Kind", None, "Canonical Kind Mask Parse"},
	{"pii.Phone", Extend, "Extend"},
	{"pii.Phone", Reseal, "Reseal"},
	{"pii.Phone", Without, "Without WithoutExpired Sweep Withdraw"},
	{"pii.Phone", None, "Equal"},
	{"pii.PlaintextChecker", None, "ValidPlaintext"},
	{"pii.Sealed", Reveal, "Reveal"},
	{"pii.Sealed", Hint, "Hint"},
	{"pii.Sealed", Index, "Index Matches"},
	{"pii.Sealed", Extend, "Extend"},
	{"pii.Sealed", Reseal, "Reseal"},
	{"pii.Sealed", Without, "Without WithoutExpired Sweep Withdraw"},
	{"pii.Sealed", Describe, "OnPrimaryKey Provenance Purposes"},
	{"pii.Sealed", None, "AppendBinary AppendText ByCollector Format GoString GormDataType IsZero LogValue MarshalBSONValue MarshalBinary MarshalText Scan UnmarshalBSONValue UnmarshalBinary UnmarshalText Value"},
}

// A role is the part that a type of the library plays in the rules.
type role int

const (
	otherType role = iota // no rule asks for it
	scopeType             // grants the use of a purpose
	purposeType
	basisType
	vaultType // hands out scopes, or keeps keys
	sealedType
	indexType
)

var roles = []struct {
	role  role
	names string
}{
	{scopeType, "vault.Collector vault.Indexer vault.Lookup vault.Reader vault.Revealer vault.Scope vault.Sealer"},
	{purposeType, "purpose.Purpose"},
	{basisType, "purpose.Basis"},
	{vaultType, "vault.Admin vault.Vault"},
	{sealedType, "pii.Email pii.Phone pii.Sealed vault.Sealed"},
	{indexType, "pii.Index"},
	{otherType, "pii.IndexSet pii.Kind pii.PlaintextChecker purpose.Legal purpose.MismatchError purpose.Provenance purpose.Set vault.AEAD vault.BatchReplacer vault.Claim vault.CollectorKEM vault.ContextAEAD vault.Erasure vault.KEK vault.KEKFunc vault.KEKs vault.Key vault.KeyGenerator vault.KeyNamer vault.Kind vault.Opened vault.Options vault.Outcomes vault.Result vault.Pin vault.Progress vault.Record vault.Role vault.Stats vault.Status vault.Budget vault.Suspension vault.SuspendedError vault.Store vault.Recorder"},
}

// kinds are the kinds of sealed values that are built into the library, by the word in
// the names of their functions: SealEmail, IndexesPhone.
var kinds = map[string]string{"Email": "email", "Phone": "phone"}

// KindOf returns the kind of value that a function of the library is for, such as
// "email", "" if the name of the function has none.
func KindOf(fn *types.Func) string {
	for word, kind := range kinds {
		if fn.Pkg() != nil && (fn.Pkg().Path() == PIIPath || fn.Pkg().Path() == BatchPath) && strings.Contains(fn.Name(), word) {
			return kind
		}
	}
	return ""
}

var (
	ops     = map[string]Op{}
	roleOf  = map[string]role{}
	library = map[string]string{PurposePath: "purpose", VaultPath: "vault", PIIPath: "pii", BatchPath: "batch"}
)

func init() {
	for _, row := range functions {
		for name := range strings.FieldsSeq(row.names) {
			ops[row.owner+"."+name] = row.op
		}
	}
	for _, row := range roles {
		for name := range strings.FieldsSeq(row.names) {
			roleOf[name] = row.role
		}
	}
}

// rowOf returns the name of a function or type in the table, "" if it is not the
// library's.
func rowOf(pkg *types.Package, names ...string) string {
	if pkg == nil || library[pkg.Path()] == "" {
		return ""
	}
	return library[pkg.Path()] + "." + strings.Join(names, ".")
}

// OpOf returns the operation of a function or method of the library, None for all others.
// The function may also come from a method value or a method expression.
func OpOf(fn *types.Func) Op {
	if fn == nil {
		return None
	}
	fn = fn.Origin()
	if recv := fn.Signature().Recv(); recv != nil {
		if n := Named(recv.Type()); n != nil {
			return ops[rowOf(n.Obj().Pkg(), n.Obj().Name(), fn.Name())]
		}
		return None
	}
	return ops[rowOf(fn.Pkg(), fn.Name())]
}

// is reports whether t is, or points to, a type of the library with the given role.
func is(t types.Type, want role) bool {
	n := Named(t)
	return n != nil && roleOf[rowOf(n.Obj().Pkg(), n.Obj().Name())] == want
}
