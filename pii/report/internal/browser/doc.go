// Package browser looks at the pages of package report in a real browser. It is a module of
// its own for the client of the browser.
//
// Its tests need Chromium, whose program ONLYFOR_CHROMIUM names, and skip without it. Run
// them with -artifacts to keep a screenshot of each page:
//
//	ONLYFOR_CHROMIUM=/usr/bin/chromium go test -artifacts -outputdir /tmp/pages .
package browser
