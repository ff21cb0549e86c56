"""What a person does on the page, and what they then see."""


def ask(page, model, *texts):
    page.get_by_label("Model", exact=True).select_option(model)
    for place, text in zip(("text", "second"), texts, strict=False):
        page.locator(f"#{place}").fill(text)
    page.get_by_role("button", name="Predict").click()


def answer(page):
    return page.get_by_role("region", name="Answer")


def rows(table):
    return [[cell.strip() for cell in row.all_inner_texts()] for row in map(cells, table.get_by_role("row").all())]


def cells(row):
    return row.locator("th, td")


def give_key(page, key):
    page.get_by_label("API key").fill(key)
    page.get_by_label("API key").press("Enter")
