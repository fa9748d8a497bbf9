module example.com/guarded

go 1.25.0
