// Package tinkv1 tests that github.com/google/tink/go v1.7.0, the last release
// under Tink's old import path, and the path that this library uses have the same
// keysets and the same ciphertexts, both ways, and how an AEAD of the old path
// can be a KEK.
//
// Two Tinks can't be linked into one program: both register protocol buffers of
// the same names, which panics before main. So each has a program of its own,
// oldtink and newtink, which write folders for each other to open. The folder that
// the old one wrote is vault/testdata/tinkv1, which the tests of package vault open as
// well, without needing this module. It is written anew by
//
//	go -C vault/internal/tinkv1 test -run TestGolden -update
//
// # An AEAD of the old path as KEK
//
// Its type is no obstacle, for a vault.AEAD is an interface of two methods. There
// are three ways, each a program here:
//
//   - primitives: an AEAD that needs no protocol buffers, such as those of the old
//     path's aead/subtle or a service's own, works in one program with this library.
//   - newtink: all others work from a process of their own, behind a pipe.
//   - together: with GOLANG_PROTOBUF_REGISTRATION_CONFLICT=warn in its environment,
//     a program can have both Tinks. It writes a page of warnings at each start, and
//     Protocol Buffers promises nothing of a program in this state: for the time of
//     a move, at most.
//
// To move, have Vault.Rewrap wrap the keys with a KEK of the new path; processes
// that open keys meanwhile use EitherKEK. A KEK that is a Tink keyset needs no
// move: read it with the new path, and it unwraps what the old one wrapped.
package tinkv1
