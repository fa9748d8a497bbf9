// Package tinkv1 tests that Tink under its old import path and Tink under the path that
// this library uses read each other's keysets and ciphertexts. The last release of the
// old path is github.com/google/tink/go v1.7.0. The package also tests the ways to use
// an AEAD of the old path as a KEK.
//
// One program can't link both Tinks: both register protocol buffers of the same names,
// which panics before main. So each has a program of its own, oldtink or newtink, and
// each program writes a folder that the other opens. The folder of oldtink is committed
// as vault/testdata/tinkv1. The tests of package vault open it as well, and do not need
// this module. To write it anew, run
//
//	go -C vault/internal/tinkv1 test -run TestGolden -update
//
// # An AEAD of the old path as KEK
//
// Its type is no obstacle, because a vault.AEAD is an interface of two methods. There
// are three ways, each with a program here:
//
//   - primitives: an AEAD that needs no protocol buffers, such as one of the old
//     path's aead/subtle or a service's own, works in one program with this library.
//   - newtink: any other AEAD works in a process of its own, behind a pipe.
//   - together: with GOLANG_PROTOBUF_REGISTRATION_CONFLICT=warn in its environment,
//     a program can have both Tinks. It writes a page of warnings at each start, and
//     Protocol Buffers guarantees nothing for such a program. Use this way during a
//     move at most.
//
// To move, wrap the keys with a KEK of the new path by Admin.Rewrap. Processes that open
// keys during the move use EitherKEK. A KEK that is a Tink keyset needs no move: the new
// path reads the keyset, and unwraps keys that the old path wrapped.
package tinkv1
