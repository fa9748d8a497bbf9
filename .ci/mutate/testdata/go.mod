module example.com/guarded

go 1.26.0
