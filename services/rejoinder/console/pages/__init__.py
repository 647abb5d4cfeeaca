"""The pages: a class a page, its methods called with a visit, answering what is shown."""
