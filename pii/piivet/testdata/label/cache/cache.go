// Package cache has never heard of the library.
package cache

// A Cache keeps texts.
type Cache struct{ m map[string]string }

// Set keeps a text.
func (c *Cache) Set(key, text string) { c.m[key] = text }

// Get returns a text.
func (c *Cache) Get(key string) string { return c.m[key] }
