// Package bun is the little of github.com/uptrace/bun that the tests use.
package bun

type BaseModel struct{}
