// Package scrapetest tests the dashboard and the alert rules of package otel against a
// scrape of a real vault. It is a module of its own, so that nobody who uses package otel
// gets Prometheus with it.
package scrapetest
