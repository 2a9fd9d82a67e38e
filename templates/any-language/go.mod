module iris

go 1.22
