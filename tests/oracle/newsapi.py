"""NewsAPI.org: articles as JSON, the same from both endpoints."""

from common import SCORED, article_id, instant, load, published, record, rfc3339, text

REMOVED = "https://removed.com"


def everything(request, body):
    for article in load(body)["articles"]:
        if article["url"] == REMOVED:
            continue  # A tombstone, not an article.
        published_at = article.get("publishedAt") and rfc3339(instant(article["publishedAt"]))
        yield record(
            "news_article",
            source="newsapi",
            article_id=article_id(article["url"]),
            published_at=published_at,
            title=text(article["title"]),
            url=text(article["url"]),
            publisher=text(article["source"]["name"]),
            author=text(article.get("author")),
            description=text(article.get("description")),
            content=text(article.get("content")),
            image_url=text(article.get("urlToImage")),
            sentiment_score=SCORED,
            sentiment_negative=SCORED,
            sentiment_neutral=SCORED,
            sentiment_positive=SCORED,
            sentiment_scorer=SCORED,
            known_at=request.known(published(published_at)),
        )


top_headlines = everything
